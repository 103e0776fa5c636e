"""The embedded world: coloured shapes in stated relations, where the truth is known.

`world` holds the vocabulary, `scenes` samples graphs, `layout` places their objects, `render` draws
them, `vision` reads the graph back off the pixels, `splits` keeps facts of the splits apart, and
`bundle` knows where the trained pipeline and CLIP are.
"""
