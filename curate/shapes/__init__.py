"""The embedded world: coloured shapes in stated relations, where the truth is known.

`world` holds the vocabulary, `scenes` samples scenes, `render` draws them, `vision` reads them
back off the pixels, and `bundle` knows where the trained pipeline and CLIP lie.
"""
