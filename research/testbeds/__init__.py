"""Two small models whose attention nobody taught: trained on captions alone, to compare recipes for masks on them."""
