"""Where two images of one prompt differ: the objects that one has right and the other wrong."""

from __future__ import annotations

from invdpo.curate.scene_graphs.matching import Assignment, facts
from invdpo.schemas import SceneGraph
from invdpo.schemas.graph import Boxes


def focus_boxes(
    intended: SceneGraph, chosen: SceneGraph, rejected: SceneGraph
) -> tuple[Boxes, Boxes]:
    """Boxes of the objects that are right in the chosen image and wrong in the rejected one.

    Each box is of its own image. In the rejected one a missing object has no box; in its stead
    stand the objects there that are nobody's counterpart, such as a second cat where a dog was
    asked for. Objects that the annotator gave no box have none here.
    """
    wrong_in_chosen, in_chosen = _wrong_items(intended, chosen)
    wrong_in_rejected, in_rejected = _wrong_items(intended, rejected)
    differ = wrong_in_rejected - wrong_in_chosen
    right = {in_chosen[item] for item in differ}
    wrong = {in_rejected[item] for item in differ & in_rejected.keys()}
    if differ - in_rejected.keys():
        wrong |= {item.item_id for item in rejected.items} - set(in_rejected.values())
    return _boxes(chosen, right), _boxes(rejected, wrong)


def _wrong_items(intended: SceneGraph, observed: SceneGraph) -> tuple[set[int], Assignment]:
    """The intended objects that are wrong, and the counterparts of those that are there.

    One is wrong if it is missing, lacks an attribute, or stands in a wrong relation to another
    that is there: a relation to a missing object is the fault of that one alone.
    """
    judged, counterparts = facts(intended, observed)
    wrong = {
        item
        for fact in judged
        if not fact.holds and (fact.kind != "relation" or counterparts.keys() >= set(fact.items))
        for item in fact.items
    }
    return wrong, counterparts


def _boxes(graph: SceneGraph, items: set[int]) -> Boxes:
    return tuple(i.box for i in graph.items if i.item_id in items and i.box is not None)
