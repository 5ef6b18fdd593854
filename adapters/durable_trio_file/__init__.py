"""The file journal: everything the embedded runtime keeps, in one SQLite file.

_store      FileJournal, the JournalStore
_reader     FileJournalReader, for looking at a file
_writer     the writing thread: group commit
_plan       writes to SQL          _queries    questions to SQL
_rows       rows and records       _schema     tables, opening, checks
_lock       one writer a file      _errors     the error tree at the edge
"""

from ._reader import FileJournalReader as FileJournalReader
from ._store import FileJournal as FileJournal
