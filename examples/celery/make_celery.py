"""What ``celery --app make_celery`` looks for: the Celery app, once all receivers are connected."""

from accounts import create_app  # type: ignore[import-not-found]  # this folder is where it is run

flask_app = create_app()
celery_app = flask_app.extensions["celery"]
