"""Datasets to and from the layouts of others; importing this package registers all exports."""

from invdpo.curate.exchange import folders as folders
from invdpo.curate.exchange import pickapic as pickapic
from invdpo.curate.exchange import preference as preference
from invdpo.curate.exchange import webdataset as webdataset
from invdpo.curate.exchange.base import EXPORTS, ExchangeResult
from invdpo.curate.exchange.exporter import export_dataset
from invdpo.curate.exchange.importer import IMPORTS, import_dataset

__all__ = ["EXPORTS", "IMPORTS", "ExchangeResult", "export_dataset", "import_dataset"]
