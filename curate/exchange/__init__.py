"""Data sets to and from the layouts of others; importing this package enters all of them."""

from invdpo.curate.exchange import folders as folders
from invdpo.curate.exchange import pickapic as pickapic
from invdpo.curate.exchange import preference as preference
from invdpo.curate.exchange import webdataset as webdataset
from invdpo.curate.exchange.base import EXPORTS, IMPORTS, Exchanged, Found
from invdpo.curate.exchange.exporter import export_set
from invdpo.curate.exchange.importer import import_set

__all__ = ["EXPORTS", "IMPORTS", "Exchanged", "Found", "export_set", "import_set"]
