"""Files, the Hub, logs, bars and texts for people: what more than one room needs of the outside."""
