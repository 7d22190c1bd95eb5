"""Work for an outside personalisation bureau: order files, what comes back, and a bureau that stands in for one."""
