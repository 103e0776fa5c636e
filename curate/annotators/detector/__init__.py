"""The annotator `detector`: boxes of an open-vocabulary detector, attributes and relations."""
