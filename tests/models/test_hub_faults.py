"""What the network may do while a model is fetched: one line each, never a traceback, and what is finished stays."""

import shutil
import socket
import subprocess
import threading

import pytest

from dsfactory.errors import UserError
from dsfactory.models import fetch
from dsfactory.models.locate import locate_model
from tests.models.hub import Fault, serve
from tests.models.test_hub import NOWHERE, cache, hub, published  # noqa: F401

WEIGHTS = "*/unet/*.safetensors"


def refusal(name="owner/model", revision=None):
    with pytest.raises(UserError) as caught:
        locate_model(name, revision)
    line = str(caught.value)
    assert "\n" not in line and "Traceback" not in line and len(line) < 400
    return line


@pytest.mark.parametrize("name", ["sd15", "owner/model"])
def test_a_hub_out_of_reach(cache, monkeypatch, name):  # noqa: F811
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    assert refusal(name) == (
        f"model {name} is not on this machine and the model hub cannot be reached: "
        "use --model pocket, which comes with dsfactory, or --model FOLDER with a diffusers pipeline"
    )


def test_offline_mode_is_respected_and_named(hub, monkeypatch):  # noqa: F811
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) forbids asking the hub: unset it" in refusal()
    assert hub.asked == []


def test_a_model_that_the_hub_does_not_have(hub):  # noqa: F811
    said = refusal("owner/other")
    assert said.startswith("the hub has no model owner/other (or it is private: run 'hf auth login')")


def test_a_revision_that_the_model_does_not_have(hub):  # noqa: F811
    assert refusal(revision="v9").startswith("model owner/model has no revision 'v9': leave generate.revision out")


@pytest.mark.parametrize(
    ("token", "says"),
    [
        (
            None,
            "wants you to agree to its terms: do so at https://huggingface.co/owner/model, then run 'hf auth login'",
        ),
        ("hf_other", "is not open to your account: agree to its terms at https://huggingface.co/owner/model"),
        ("hf_stale", "the hub refuses your token: make a new one and run 'hf auth login', or unset HF_TOKEN"),
    ],
)
def test_a_gated_model(hub, monkeypatch, token, says):  # noqa: F811
    hub.gated, hub.refused = ("owner/model",), "stale"
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    said = refusal()
    assert says in said and "hf_" not in said


def test_a_token_that_is_good(hub, monkeypatch):  # noqa: F811
    hub.gated = ("owner/model",)
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    assert locate_model("owner/model").commit


@pytest.mark.long
@pytest.mark.parametrize(
    ("fault", "asked_again"),
    [
        (Fault(status=429, headers={"Retry-After": "0"}, times=3), "the hub asks for a pause (status 429)"),
        (Fault("/api/*", status=503, times=3), "the hub is out of order (status 503)"),
        (Fault("/api/*", reset=True, times=2), "the hub does not answer"),
        (Fault("/api/models/owner/model", hang=1.5, times=1), "the hub does not answer"),
        (Fault("/store/*", status=500, times=2), "the hub is out of order (status 500)"),
        (Fault("/store" + WEIGHTS, cut=300_000, reset=True, times=2), "the connection broke off"),
        (Fault("/store" + WEIGHTS, cut=300_000, times=2), "the connection broke off"),
        (Fault("/store" + WEIGHTS, cut=300_000, hang=1.5, times=1), "the connection broke off"),
    ],
)  # fmt: skip
def test_what_passes_is_waited_for(hub, capsys, fault, asked_again):  # noqa: F811
    hub.faults = [fault]
    assert locate_model("owner/model").commit
    assert asked_again in capsys.readouterr().err
    if fault.cut:
        ranges = {given for _, path, given in hub.asked if path.startswith("/store/") and given}
        assert ranges, "a cut file is to go on where it was cut"


@pytest.mark.long
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault(status=429), "the hub limits how often it may be asked, and has had enough for now"),
        (Fault(status=429, headers={"Retry-After": "3600"}), "run the command again in 60 minutes"),
        (Fault(status=503), "the hub is out of order (status 503) and did not give model owner/model: later, run"),
        (Fault("/store/*", status=502), "the hub is out of order (status 502)"),
        (Fault(reset=True), "the connection to the hub broke off while model owner/model was fetched: run the command"),
        (Fault(hang=1.5), "the hub went silent while model owner/model was fetched: run the command again"),
        (Fault(status=403), "the hub, or a proxy before it, refuses to give model owner/model (status 403)"),
        (Fault(status=407), "the proxy wants a name and a password"),
        (Fault(status=200, headers={"Content-Type": "text/html"}, body=b"<p>"), "is not the model hub (the log"),
        (Fault(status=200, body=b"[1]"), "is not the model hub (the login page of this network, or a proxy?)"),
        (Fault("*resolve*", status=200, headers={"Content-Type": "text/html"}, body=b"<p>"), "is not the model hub"),
        (Fault("/store/*", status=200, body=b"<p>"), "arrived with a wrong size (does a proxy change it?)"),
    ],
)  # fmt: skip
def test_what_does_not_pass_is_one_line(hub, fault, says):  # noqa: F811
    hub.faults = [fault]
    assert says in refusal()


def test_finished_files_are_kept_and_unfinished_ones_are_not(hub, cache):  # noqa: F811
    hub.faults = [Fault("/store" + WEIGHTS, status=500)]
    refusal()
    assert not list(cache.rglob("*.incomplete"))
    first = set(hub.fetched)
    assert "model_index.json" in first
    hub.faults, hub.fetched[:] = [], []
    locate_model("owner/model")
    assert "unet/diffusion_pytorch_model.fp16.safetensors" in hub.fetched
    assert "model_index.json" not in hub.fetched and len(hub.fetched) < 5


def test_an_address_without_its_beginning(cache, monkeypatch):  # noqa: F811
    monkeypatch.setenv("HF_ENDPOINT", "hub.example.org")
    assert refusal() == "HF_ENDPOINT is 'hub.example.org': an address begins with https://"


def test_a_proxy_that_refuses(hub, monkeypatch):  # noqa: F811
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example.org")
    monkeypatch.setenv("HTTPS_PROXY", hub.url.replace("http://", "http://name:secret@"))
    said = refusal()
    assert said.startswith("the proxy that HTTPS_PROXY names refuses") and "secret" not in said


def test_a_proxy_that_is_not_there(cache, monkeypatch):  # noqa: F811
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example.org")
    monkeypatch.setenv("HTTPS_PROXY", NOWHERE)
    assert "the model hub cannot be reached through the proxy of HTTPS_PROXY" in refusal()


def test_no_tls_where_it_is_expected(hub, monkeypatch):  # noqa: F811
    monkeypatch.setenv("HF_ENDPOINT", hub.url.replace("http://", "https://"))
    assert "does not speak TLS as it should" in refusal()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_a_certificate_that_nobody_signed(cache, monkeypatch, tmp_path):  # noqa: F811
    import ssl

    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"], check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet():
            while True:
                try:
                    context.wrap_socket(listener.accept()[0], server_side=True)
                except ssl.SSLError:
                    continue
                except OSError:
                    return

        threading.Thread(target=greet, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"https://127.0.0.1:{listener.getsockname()[1]}")
        assert "is not trusted here (a proxy that reads along?): set SSL_CERT_FILE to" in refusal()


def test_a_cache_that_cannot_be_written(hub, cache):  # noqa: F811
    cache.write_text("a file where the folder should be")
    said = refusal()
    assert f"the model cache {cache}/hub cannot be written at" in said and "set HF_HOME to a folder of yours" in said


@pytest.mark.parametrize("store", ["denies", "is silent"])
def test_a_xet_store_that_fails_is_done_without(hub, capsys, monkeypatch, store):  # noqa: F811
    pytest.importorskip("hf_xet")
    monkeypatch.setattr(fetch, "SILENCE_S", 3.0)
    with serve({}) as other, socket.create_server(("127.0.0.1", 0)) as silent:
        hub.xet = other.url if store == "denies" else f"http://127.0.0.1:{silent.getsockname()[1]}"
        other.faults = [Fault(status=403)]
        assert locate_model("owner/model").commit
    assert "the Xet store does not give the files: going on without it" in capsys.readouterr().err


def test_a_download_process_that_dies_is_one_line(hub, monkeypatch):  # noqa: F811
    import sys

    monkeypatch.setattr(fetch, "_CHILD", [sys.executable, "-c", "import os; os.abort()"])
    assert refusal() == (
        "fetching model owner/model ended unexpectedly: run the command again, finished files are kept"
    )
