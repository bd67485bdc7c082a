"""Methods without a network, to beat: climatology, regression on air temperature, boosted trees."""
