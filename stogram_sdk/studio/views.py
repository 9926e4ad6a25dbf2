"""A table as Flask-Admin has it: its list, the page of one row, and with `--write` its form."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Any
from urllib.parse import urlencode

import peewee
from flask import abort, flash, g, request, url_for
from flask_admin import AdminIndexView, expose
from flask_admin.contrib.peewee import ModelView
from flask_admin.form import SecureForm
from wtforms import HiddenField

from stogram_sdk.database import current_time
from stogram_sdk.engine.failures import translated_errors
from stogram_sdk.errors import NotAllowed, StogramError
from stogram_sdk.fields import Tags, time_to_text
from stogram_sdk.membership import membership
from stogram_sdk.messages import deletion, edit_message
from stogram_sdk.models import Chat, ChatMember, ChatSettings, ChatType, Message, MessageType, User
from stogram_sdk.statements import P, dialect, statement
from stogram_sdk.studio import cells
from stogram_sdk.studio.filters import filters_of, name_of, only
from stogram_sdk.studio.rows import (
    MOST,
    OF_MEMBERS,
    PAGE,
    Condition,
    Wanted,
    find,
    get_row,
    list_rows,
)
from stogram_sdk.studio.tables import TABLE_OF, TABLES, Table
from stogram_sdk.visibility import is_in_order

#: So many rows of each kind are on the page of the row that they belong to, and in a search of all.
FEW = 10


class Home(AdminIndexView):
    """The first page: a search for a person, a chat or a message, and all tables."""

    @expose()
    def index(self) -> str:
        words = request.args.get("words", "").strip()
        searched = [TABLE_OF[model] for model in (User, Chat, Message)]
        found = [(table, find(table, words, FEW)) for table in searched] if words else []
        return str(
            self.render(
                "studio/home.html",
                words=words,
                found=found,
                tables=TABLES,
                columns_of=columns_of,
                value_of=cells.value_of,
                link=cells.page_of,
            )
        )


class Form(SecureForm):
    """A form of which the row is known that it was made from."""

    version = HiddenField()


class TableView(ModelView):
    """A table, read row by row as `rows` says."""

    list_template = "studio/list.html"
    details_template = "studio/details.html"
    edit_template = "studio/edit.html"
    form_base_class = Form
    named_filter_urls = True
    simple_list_pager = True
    page_size = PAGE
    can_create = False
    can_view_details = True
    action_disallowed_list = ("delete",)

    def __init__(self, table: Table, *, write: bool, category: str | None) -> None:
        self.table = table
        self.can_edit = write and bool(table.editable)
        self.can_delete = write and table.is_deletable
        self.column_list = [name for name, _ in columns_of(table)]
        extra = self.column_list[len(table.columns) :]
        self.column_details_list = [*(field.name for field in table.shown), *extra]
        self.column_sortable_list = [
            field.name for field in table.columns if not isinstance(field, peewee.ForeignKeyField)
        ]
        self.column_labels = OF_MEMBERS | {field.name: name_of(field) for field in table.shown}
        self.column_formatters = dict.fromkeys(self.column_list, _in_list)
        self.column_formatters_detail = dict.fromkeys(self.column_details_list, _in_details)
        self.column_filters = filters_of(table)
        self.form_columns = [field.name for field in table.editable]
        super().__init__(
            table.model,
            table.name,
            category=category,
            endpoint=table.endpoint,
            url=f"/{table.endpoint}",
        )

    def scaffold_form(self) -> Any:
        return super().scaffold_form() if self.table.editable else Form

    def init_search(self) -> bool:
        return True

    def search_placeholder(self) -> str:
        words = [name_of(field).lower() for field in self.table.searched]
        has_user = any(field.rel_model is User for field in self.table.model._meta.refs)
        return ", ".join([*words, *(["user"] if has_user else []), "id"])

    # --- Reading ---

    def get_list(
        self, page: Any, sort_column: Any, sort_desc: Any, search: Any, filters: Any, **_: Any
    ) -> Any:
        chosen = [(self._filters[place], value) for place, _name, value in filters or ()]
        cleaned = [(each, each.clean(value)) for each, value in chosen]
        is_sorted = sort_column in self.column_sortable_list
        wanted = Wanted(
            indexed=tuple(partial(e.condition, value=v) for e, v in cleaned if e.is_indexed(v)),
            others=tuple(partial(e.condition, value=v) for e, v in cleaned if not e.is_indexed(v)),
            words=(search or "").strip(),
            sort=(sort_column, bool(sort_desc)) if is_sorted else None,
            skipped=PAGE * min(max(page or 0, 0), MOST // PAGE - 1),
        )
        rows = list_rows(self.table, wanted)
        g.has_more = len(rows) > PAGE and wanted.skipped + PAGE < MOST
        g.is_bounded = wanted.is_bounded
        return None, rows[:PAGE]

    def get_one(self, id: Any) -> Any:
        return get_row(self.table, id) if isinstance(id, str) else None

    @expose("/details/")
    def details_view(self) -> Any:
        id = request.args.get("id", "")
        row = self.get_one(id)
        if row is None:
            abort(404, f"There is no row with the id {id} in {self.table.name.lower()}.")
        return self.render(
            self.details_template,
            model=row,
            title=cells.name_of_row(row),
            details_columns=self._details_columns,
            get_value=self.get_detail_value,
            value_of=cells.value_of,
            link=cells.page_of,
            parts=[_part(name, field, id) for name, field in self.table.parts.items()],
            return_url=url_for(".index_view"),
        )

    # --- Writing ---

    def edit_form(self, obj: Any = None) -> Any:
        form = super().edit_form(obj)
        if request.method == "GET":
            form.version.data = _version(obj, self.table)
        return form

    def update_model(self, form: Any, row: Any) -> bool:
        """Write what differs, unless somebody else has written the row since it was shown."""
        try:
            if form.version.data != _version(row, self.table):
                raise StogramError("somebody has changed this row meanwhile: open it again")
            values = {field: _entered(form[field.name].data) for field in self.table.editable}
            changed = {
                field: self.table.editable[field](new, field.name)
                for field, new in values.items()
                if new != row.__data__[field.name]
            }
            if changed:
                with translated_errors():
                    self._write(row, changed)
        except StogramError as error:
            flash(str(error), "error")
            return False
        return True

    def _write(self, row: Any, changed: dict[Any, Any]) -> None:
        if isinstance(row, Message):
            _edit_as_sender(row, changed[Message.content])
            return
        if isinstance(row, Chat) and row.type == ChatType.PRIVATE:
            raise NotAllowed("a PRIVATE chat does not change", entity="chat", id=row.id)
        model = self.table.model
        was = [
            field.is_null()
            if row.__data__[field.name] is None
            else field == row.__data__[field.name]
            for field in changed
        ]
        updated_at = model._meta.fields.get("updated_at")
        if updated_at and model is not ChatSettings:  # There it may mark a place, see `unread`.
            now: Any = current_time()
            if model is Chat:  # It never goes back, see `ordering`.
                now = dialect().latest_of(peewee.Value(time_to_text(now)), Chat.updated_at)
            changed = {**changed, updated_at: now}
        written = model.update(changed).where(model._meta.primary_key == row.id, *was).execute()
        if not written:
            raise StogramError("somebody has changed this row meanwhile: open it again")

    def delete_model(self, row: Any) -> bool:
        try:
            with translated_errors():
                self._delete(row)
        except StogramError as error:
            flash(str(error), "error")
            return False
        return True

    def _delete(self, row: Any) -> None:
        if isinstance(row, Message):
            _delete_message.run(
                chat_id=row.chat_id, message_id=row.id, now=current_time(), no_tags=Tags()
            )
        else:
            model = self.table.model
            model.delete().where(model._meta.primary_key == row.id).execute()


@statement
def _delete_message() -> Any:
    """The operator deletes any message, also one of the service or of who has left the chat."""
    return deletion().where(
        Message.chat == P.chat_id, Message.id == P.message_id, ~Message.is_deleted
    )


def _edit_as_sender(message: Message, content: str) -> None:
    """Find the tags anew, and mark the message as edited: nobody else has words in their name."""
    reason = None
    if message.type == MessageType.SYSTEM:
        reason = "it is of the service"
    elif membership(message.sender_id, message.chat_id) is None:
        reason = "its sender is not in the chat any more"
    if reason is not None:
        raise NotAllowed(
            f"nobody edits this message: {reason}. It can be deleted",
            entity="message",
            id=message.id,
        )
    edit_message(message.sender_id, message.chat_id, message.id, content)


def columns_of(table: Table) -> list[tuple[str, str]]:
    """The columns of a list, each with what it is called."""
    columns = [(field.name, name_of(field)) for field in table.columns]
    return columns + list(OF_MEMBERS.items()) if table.model is ChatMember else columns


def _part(name: str, field: Any, id: str) -> dict[str, Any]:
    """The rows that belong to one, and a link to all of them."""
    table = TABLE_OF[field.model]
    conditions: list[Condition] = [partial(_refers, field=field, id=id)]
    if field is Message.chat:
        conditions.append(is_in_order)
    rows = list_rows(table, Wanted(indexed=tuple(conditions), size=FEW))
    return {
        "name": name,
        "rows": rows[:FEW],
        "has_more": len(rows) > FEW,
        "columns": [column for column in columns_of(table) if column[0] != field.name],
        "url": f"{url_for(f'{table.endpoint}.index_view')}?{urlencode(only(field, id))}",
    }


def _refers(row: Any, *, field: Any, id: str) -> Any:
    return getattr(row, field.name) == id


def _version(row: Any, table: Table) -> str:
    """What the form of a row was made from."""
    values = [row.__data__[field.name] for field in table.editable]
    return hashlib.sha256(repr(values).encode()).hexdigest()


def _entered(value: Any) -> Any:
    """What a form holds; browsers send lines with the ends of another system."""
    return value.replace("\r\n", "\n") if isinstance(value, str) else value


def _in_list(view: Any, context: Any, row: Any, name: str) -> Any:
    return cells.value_of(row, name)


def _in_details(view: Any, context: Any, row: Any, name: str) -> Any:
    return cells.value_of(row, name, whole=True)
