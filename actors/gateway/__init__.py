"""Every REST call to the exchange: the rate budget, orders in flight, the key that may trade."""
