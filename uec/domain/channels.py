"""The ways by which a refusal or a choice of a bank may come: the law (210-FZ, article 26) prescribes none."""

# What an operator enters: it was said, written or sent to the office.
TO_THE_OFFICE = ("window", "post", "mfc", "phone", "email", "portal")
# The rest people enter themselves, on the site.
CHANNELS = ("web", *TO_THE_OFFICE)
