from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import migrations, models


def measure(apps: Any, _schema_editor: Any) -> None:
    """Count what earlier uploads take; a file that is gone takes nothing."""
    folder = Path(settings.DATA_DIR) / "files"
    picture = apps.get_model("pictures", "Picture")
    for row in picture.objects.all().iterator():
        names = {row.digest, row.original_digest, row.thumbnail_digest} - {""}
        files = [folder / name[:2] / name for name in names]
        row.stored_bytes = sum(file.stat().st_size for file in files if file.is_file())
        row.save(update_fields=["stored_bytes"])


class Migration(migrations.Migration):
    dependencies = [
        ("pictures", "0001_first"),
    ]

    operations = [
        migrations.AddField(
            model_name="picture",
            name="stored_bytes",
            field=models.PositiveBigIntegerField(default=0),
        ),
        migrations.RunPython(measure, migrations.RunPython.noop),
    ]
