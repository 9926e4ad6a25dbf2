"""The studio as one Flask application."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import PurePath
from typing import Any

import peewee
from flask import Flask, g, render_template
from flask_admin import Admin
from flask_admin.theme import Bootstrap4Theme
from werkzeug.exceptions import HTTPException, InternalServerError

from stogram_sdk.database import current_database, session, transaction
from stogram_sdk.engine.failures import translate
from stogram_sdk.errors import InvalidInput, StogramError, Unavailable
from stogram_sdk.studio.guard import put_guard
from stogram_sdk.studio.tables import TABLES
from stogram_sdk.studio.views import Home, TableView

#: Seconds for a statement: pages are made to need a fraction of one.
TIME_LIMIT = 5.0
#: How many tables are in the menu; the others are behind one of its words.
_IN_MENU = 4


def make_app(*, token: str, host: str = "127.0.0.1", write: bool = False) -> Flask:
    """The application for the connected database, for those who know the token."""
    app = Flask(__name__, static_url_path="/own")
    put_guard(app, token=token, host=host, write=write)
    _keep_sessions(app, write)
    _explain_errors(app)
    database = current_database()
    app.jinja_env.globals.update(
        may_write=write,
        database_name=PurePath(database.database).name,
        engine_name=database.dialect.name,
    )
    theme = Bootstrap4Theme(base_template="studio/base.html", fluid=True)
    admin = Admin(app, name="Stogram", url="/", index_view=Home(url="/", name="Home"), theme=theme)
    for number, table in enumerate(TABLES):
        category = None if number < _IN_MENU else "More"
        admin.add_view(TableView(table, write=write, category=category))
    return app


def _keep_sessions(app: Flask, write: bool) -> None:
    """One connection for each request; the database itself refuses to write without `--write`."""

    @app.before_request
    def open_session() -> None:
        g.connection = ExitStack()
        g.connection.enter_context(session(statement_timeout=TIME_LIMIT))
        if not write:
            g.connection.enter_context(_read_only())

    @app.teardown_request
    def close_session(error: BaseException | None) -> None:
        if "connection" in g:
            failed = error or g.get("error")
            g.connection.__exit__(type(failed) if failed else None, failed, None)


def _read_only() -> Any:
    """Nothing inside can write."""
    database = current_database()
    with ExitStack() as stack:
        if database.dialect.name == "sqlite":
            database.execute_sql("PRAGMA query_only = on")
            stack.callback(database.execute_sql, "PRAGMA query_only = off")
        else:
            stack.enter_context(transaction())
            database.execute_sql("SET TRANSACTION READ ONLY")
        return stack.pop_all()


def _explain_errors(app: Flask) -> None:
    """Each error is a page that says what is wrong, and nothing of how the database said it."""

    @app.errorhandler(peewee.PeeweeException)
    def told_by_driver(error: peewee.PeeweeException) -> Any:
        return told(translate(error))

    @app.errorhandler(StogramError)
    def told(error: StogramError) -> Any:
        g.error = error  # a transaction in which a statement has failed is not committed
        code = {InvalidInput: 400, Unavailable: 503}.get(type(error), 500)
        return _page(code, str(error))

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Any:
        is_ours = isinstance(error, InternalServerError)
        return _page(error.code or 500, "Something went wrong." if is_ours else error.description)


def _page(code: int, text: str | None) -> Any:
    return render_template("studio/error.html", code=code, text=text), code
