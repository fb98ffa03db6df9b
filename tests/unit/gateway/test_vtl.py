"""Velocity templates: references, directives, expressions, Java's methods, JSONPath."""

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudlet.gateway.rest import jsonpath
from cloudlet.gateway.rest.vtl import Template, VtlError
from cloudlet.gateway.rest.vtl_values import json_value

DOCUMENT = {
    "store": {
        "books": [
            {"title": "a", "price": 1, "tags": ["x"]},
            {"title": "b", "price": 20, "sold": True},
        ],
        "open hours": "9-5",
    },
    "n": None,
}


def render(source: str, **variables: Any) -> str:
    return Template(source).render(variables)


@pytest.mark.parametrize(
    ("source", "rendered"),
    [
        ("plain {text} #1 $ 5$ $! ${ #", "plain {text} #1 $ 5$ $! ${ #"),
        ("$name ${name}s $!name $!{name}!", "Ann Anns Ann Ann!"),
        ("$name.length() $name.toUpperCase().substring(1)", "3 NN"),
        ("$map.a ${map.b.c} $map['a'] $map.get('a') $list[1] $list.get(0)", "1 2 1 1 y x"),
        ("[$none][$none.more][$map.none][$!none]", "[][][][]"),  # gateway-050
        ("$name. $name.1 ${name}.length", "Ann. Ann.1 Ann.length"),
        ("\\$name \\$none \\x", "$name \\$none \\x"),
        ("## gone\nkept#* gone *#!#[[ $name #if ]]#", "kept! $name #if "),
    ],
)
def test_references(source: str, rendered: str) -> None:
    """gateway-050: a reference that leads nowhere renders as nothing."""
    variables = {"name": "Ann", "map": {"a": 1, "b": {"c": 2}}, "list": ["x", "y"]}
    assert render(source, **variables) == rendered


@pytest.mark.parametrize(
    ("source", "rendered"),
    [
        ("#set($a = 1)\n#set($b = $a + 2)\n$b", "3"),
        ("#set($m = {'a': 1, \"b\": [1, 'x']})$m $m.b.size()", "{a=1, b=[1, x]} 2"),
        ("#set($m = {})#set($m.k = 'v')#set($m['l'] = 2)$m", "{k=v, l=2}"),
        ("#set($l = [1..3])$l#set($l[0] = 9)$l", "[1, 2, 3][9, 2, 3]"),
        ('#set($s = "hi $n ${n}s")$s', "hi Bo Bos"),
        ("#set($s = 'hi $n')$s", "hi $n"),
        ("#if($n == 'Bo')yes#{else}no#end", "yes"),
        ("#if($x)a#elseif($n && !$x)b#{else}c#end", "b"),
        ("#if(1 < 2 && (2 >= 3 || 'a' != 'b'))t#end", "t"),
        ("#if($x == $null && $x == '')both#end", "both"),  # gateway-051
        ("#if('')t#end#if(0)t#end#if(false)f#end#if($x)f#end", "tt"),  # gateway-052
        ("#foreach($i in [1,2,3])$i#if($foreach.hasNext),#end#end", "1,2,3"),
        ("#foreach($i in ['a','b'])$velocityCount$foreach.index$i #end", "10a 21b "),
        ("#foreach($k in $m.keySet())$k=$m.get($k);#end", "a=1;b=2;"),
        ("#foreach($e in $m.entrySet())$e.key=$e.value;#end", "a=1;b=2;"),
        ("#foreach($v in $m)$v#end", "12"),
        ("#foreach($i in [1..9])#if($i == 3)#break#end$i#end!", "12!"),
        ("a#stop b", "a"),
        ("#macro(hi $who)Hi $who!#end#hi('x')#hi($n)", "Hi x!Hi Bo!"),
        ("  #set($a = 1)\nx\n  #if(true)\n  y\n  #end\nz", "x\n    y\n  z"),
        ("$util_x#set($util_x = 7)$util_x", "7"),
    ],
)
def test_directives(source: str, rendered: str) -> None:
    """gateway-051: what is not there equals the empty string; gateway-052: which is true."""
    assert render(source, n="Bo", m={"a": 1, "b": 2}) == rendered


@pytest.mark.parametrize(
    ("expression", "rendered"),
    [
        ("7 / 2", "3"),
        ("-7 / 2", "-3"),
        ("-7 % 3", "-1"),
        ("7.0 / 2", "3.5"),
        ("1 + 2 * 3 - 4", "3"),
        ("(1 + 2) * 3", "9"),
        ("'a' + 1", "a1"),
        ("1 / 0", ""),
        ("'a' * 2", ""),
        ("$x.y.z", ""),
        ("$s.split(',').size()", "2"),
        ("$t.replaceAll('([A-Z])', '<$1>')", "a<X>b<X>"),
        ("$c.substring(1, 2)", "b"),
        ("$c.substring(5)", ""),
        ("$c.indexOf('c')", "2"),
        ("$u.equalsIgnoreCase('AbC')", "true"),
        ("$c.matches('a.c')", "true"),
        ("$f.equals(5)", "false"),
        ("$i.parseInt('42') + 1", "43"),
        ("$l.contains(1)", "true"),
        ("$m.containsKey('b')", "false"),
    ],
)
def test_expressions(expression: str, rendered: str) -> None:
    texts = {"s": "a,b,,", "t": "aXbX", "c": "abc", "u": "aBc", "f": "5"}
    variables = {**texts, "i": 0, "l": [3, 1], "m": {"a": 1}}
    assert render(f"#set($r = {expression})$r", **variables) == rendered


@pytest.mark.parametrize(
    "source",
    [
        "#if($a",
        "#if(true)",
        "#end",
        "#set(a = 1)",
        "#foreach($a)#end",
        "#set($a = )",
        "#parse('x')",
    ],
)
def test_malformed(source: str) -> None:
    with pytest.raises(VtlError):
        Template(source)


def test_limits() -> None:
    doubling = "#set($a = 'xxxxxxxx')#foreach($i in [1..40])#set($a = $a + $a)#end"
    with pytest.raises(VtlError):
        render(doubling)
    with pytest.raises(VtlError):
        render("#set($a = [1..999999999])")
    with pytest.raises(VtlError):
        render("#macro(a)#a()#end#a()")
    with pytest.raises(VtlError):
        render("#macro(a)#foreach($i in [1..9])#a()#end#end#a()")
    loops = "#foreach($i in [1..1000])" * 3
    with pytest.raises(VtlError):
        render(f"{loops}{'#end' * 3}")
    assert len(render("#foreach($i in [1..5000])x#end")) == 1000
    with pytest.raises(VtlError):
        Template("#set($a = " + "(" * 5000)


def test_documents_print_as_in_java() -> None:
    """Objects print as maps, lists as JSON: as API Gateway's do."""
    document = json_value({"a": [{"b": "c"}], "d": {"e": None}})
    assert render("$d $d.a $d.a[0]", d=document) == '{a=[{"b":"c"}], d={e=null}} [{"b":"c"}] {b=c}'


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="$#{}()[].!'\"\\ abif=1\n,*", max_size=40))
def test_any_text_is_a_template_or_malformed(source: str) -> None:
    try:
        template = Template(source)
    except VtlError:
        return
    with suppress(VtlError):
        template.render({"a": "x", "b": {"i": 1}})


@settings(max_examples=200, deadline=None)
@given(st.text().filter(lambda text: not set(text) & set("$#\\")))
def test_text_without_signs_stays(source: str) -> None:
    assert render(source) == source


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", DOCUMENT),
        ("$.store.books[0].title", "a"),
        ("$['store']['open hours']", "9-5"),
        ("store.books[-1].price", 20),
        ("$.store.books[*].title", ["a", "b"]),
        ("$.store.books.title", None),
        ("$..price", [1, 20]),
        ("$.store.books[?(@.price > 5)].title", ["b"]),
        ("$.store.books[?(@.sold)].title", ["b"]),
        ("$.store.books[?(@.title == 'a' || @.price > 5)].price", [1, 20]),
        ("$.store.books[0:1].title", ["a"]),
        ("$.store.books[0,1].title", ["a", "b"]),
        ("$.store.books.length()", 2),
        ("$.none.more", None),
        ("$.n", None),
    ],
)
def test_json_paths(path: str, found: Any) -> None:
    assert jsonpath.find(DOCUMENT, path) == found


@pytest.mark.parametrize("path", ["$.", "$[", "$.a[?(x)]", "$.a b", "$[foo]"])
def test_malformed_paths(path: str) -> None:
    with pytest.raises(jsonpath.PathError):
        jsonpath.find({"a": [1]}, path)


@pytest.mark.parametrize(
    "source",
    [
        "#set($l=[1])#foreach($i in [1..40])$l.addAll($l)#end",
        "#set($l=[])#foreach($i in [1..40])#set($l=[$l,$l])#end$l",
        "#set($l=[])#set($m=[])#foreach($i in [1..40])#set($l=[$l,$l])#set($m=[$m,$m])#end"
        "#if($l==$m)same#end",
        "#set($d=[1])#set($z=$d.add($d))$d",
        "#set($s='ab')#foreach($i in [1..100])#set($s=$s.concat($s))#end",
        "#set($s='ab')#foreach($i in [1..100])#set($s=$s.replaceAll('.','$0$0'))#end",
        "#set($s='ab')#foreach($i in [1..23])#set($s=$s+$s)#end",
        "#set($s='ab')#foreach($i in [1..20])#set($s=$s+$s)#end$s.replace('', $s)",
        "#set($s='ab')#foreach($i in [1..20])#set($s=$s+$s)#end#foreach($i in [1..99])$s#end",
        "#macro(a)#a()#a()#end#a()",
    ],
)
def test_what_a_template_may_take_is_bounded(source: str) -> None:
    with pytest.raises(VtlError):
        Template(source).render({})


def test_endless_expressions_and_numbers_answer_null() -> None:
    source = "#set($n=9)#foreach($i in [1..99])#set($n=$n*$n)#end[$n]"
    assert Template(source).render({}) == "[]"
    assert Template("$s.matches('(a|aa)+b')${s.split('(a+)+b')}").render({"s": "a" * 60}) == ""


_keys = st.text(alphabet="abc_1", min_size=1, max_size=3)
_documents = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | _keys,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(_keys, below, max_size=3),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(_documents)
def test_every_place_of_a_document_is_found(document: Any) -> None:
    def places(value: Any, path: str) -> Any:
        yield path, value
        if isinstance(value, dict):
            for key, item in value.items():
                yield from places(item, f"{path}['{key}']")
        elif isinstance(value, list):
            for number, item in enumerate(value):
                yield from places(item, f"{path}[{number}]")

    for path, value in places(document, "$"):
        assert jsonpath.find(document, path) == value
    assert orjson.loads(orjson.dumps(json_value(document))) == document
