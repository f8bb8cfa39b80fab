// The page of dsfactory judge: shows pairs one after the other, keeps the answers, and saves them.
const questions = JSON.parse(document.getElementById("q").textContent);
const pictures = JSON.parse(document.getElementById("p").textContent);
const store = "dsfactory-judge-" + document.body.dataset.id;
const answers = JSON.parse(localStorage.getItem(store) || "[]");
const element = (id) => document.getElementById(id);

function show() {
  const done = answers.length >= questions.length;
  element("n").textContent = Math.min(answers.length + 1, questions.length) + " of " + questions.length;
  element("pair").hidden = done;
  element("end").hidden = !done;
  if (!done) {
    const question = questions[answers.length];
    element("l").src = pictures[question.l];
    element("r").src = pictures[question.r];
    element("i").textContent = question.image;
  }
}

function keep() {
  localStorage.setItem(store, JSON.stringify(answers));
  show();
}

function say(side) {
  if (answers.length < questions.length) answers.push(side);
  keep();
}

function save() {
  const line = (answer, place) => {
    const { image, left, right } = questions[place];
    return JSON.stringify({ image, left, right, answer }) + "\n";
  };
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(answers.map(line), { type: "application/jsonl" }));
  link.download = "answers.jsonl";
  link.click();
}

addEventListener("keydown", (event) => {
  const side = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "equal" }[event.key];
  if (side) {
    event.preventDefault();
    say(side);
  } else if (event.key === "Backspace") {
    answers.pop();
    keep();
  }
});
for (const [id, side] of [["l", "left"], ["r", "right"], ["e", "equal"]]) {
  element(id).addEventListener("click", () => say(side));
}
element("s").addEventListener("click", save);
show();
