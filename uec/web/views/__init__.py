"""One module an audience; a view loads, authorises, calls one service and renders."""
