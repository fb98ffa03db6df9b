"""Local code, the translation and its cache, requirements."""

import asyncio
import hashlib
import io
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from cloudlet import npm
from cloudlet.template import folders
from cloudlet.template.problems import TemplateError
from cloudlet.template.watch import watch
from tests.unit.template.fakes import FakeCloud

FUNCTION = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Hello:
    Type: AWS::Serverless::Function
    Properties: {Runtime: python3.11, Handler: app.handler, CodeUri: hello}
"""
INLINE = """
Resources:
  Role: {Type: 'AWS::IAM::Role', Properties: {AssumeRolePolicyDocument: {}}}
  Hello:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: python3.11
      Handler: index.handler
      Role: !GetAtt Role.Arn
      Code: {ZipFile: "def handler(event, context): return 1"}
"""


@pytest.fixture
def code(fake: FakeCloud) -> Path:
    folder = fake.folder / "hello"
    folder.mkdir()
    (folder / "app.py").write_text("def handler(event, context): ...\n")
    return folder


def test_the_digest_is_of_the_content(fake: FakeCloud, code: Path) -> None:
    database = fake.bench.database
    first = folders.digest(database, code)
    (code / "__pycache__").mkdir()
    (code / "__pycache__" / "app.pyc").write_text("x")
    assert folders.digest(database, code) == first
    (code / "app.py").write_text("other\n")
    changed = folders.digest(database, code)
    assert changed.digest != first.digest
    (code / "app.py").write_text("def handler(event, context): ...\n")
    assert folders.digest(database, code).digest == first.digest
    assert first.uri == f"s3://cloudlet-folder/{first.digest}{code}"


def test_folders_with_odd_names_come_back(fake: FakeCloud) -> None:
    folder = fake.folder / "a b?&#%c"
    folder.mkdir()
    key = folders.digest(fake.bench.database, folder).key
    place = folders.location({"S3Bucket": folders.BUCKET, "S3Key": key})
    assert place == {"S3Bucket": folders.BUCKET, "S3Key": str(folder)}


def test_links_in_circles_end(fake: FakeCloud, code: Path) -> None:
    (code / "again").symlink_to(code)
    assert folders.digest(fake.bench.database, code)


def test_a_zip_file_is_handed_over_as_bytes(fake: FakeCloud) -> None:
    (fake.folder / "code.zip").write_bytes(b"PK")
    fake.deploy(FUNCTION.replace("CodeUri: hello", "CodeUri: code.zip"))
    assert fake.params("CreateFunction")[0]["Code"] == {"ZipFile": b"PK"}


def test_the_second_time_needs_no_translator(
    fake: FakeCloud, code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.deploy(FUNCTION)
    monkeypatch.setitem(sys.modules, "samtranslator.translator.translator", None)
    assert fake.deploy(FUNCTION).steps == ()
    with pytest.raises(ImportError):
        fake.deploy(FUNCTION.replace("app.handler", "app.other"))


def test_missing_code_and_invalid_sam_are_named(fake: FakeCloud) -> None:
    with pytest.raises(TemplateError, match=r"Hello: CodeUri: .*/hello does not exist"):
        fake.deploy(FUNCTION)
    (fake.folder / "hello").mkdir()
    with pytest.raises(TemplateError, match=r"Invalid Serverless Application .*Hello"):
        fake.deploy(FUNCTION.replace("Runtime: python3.11,", "Events: {E: {Type: Nope}},"))


def wheel(folder: Path, name: str, source: str) -> str:
    """A wheel of one module; returns its SHA-256."""
    folder.mkdir(exist_ok=True)
    path, info = folder / f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", source)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: x\n")
        archive.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def deployed_code(fake: FakeCloud, operation: str = "CreateFunction") -> Path:
    return Path(fake.params(operation)[-1]["Code"]["S3Key"])


def test_requirements_are_installed_beside_a_copy(fake: FakeCloud, code: Path) -> None:
    """With the hashes that are given; a changed handler installs nothing again."""
    own = f"python{sys.version_info.major}.{sys.version_info.minor}"
    template = FUNCTION.replace("python3.11", own)
    digest = wheel(fake.folder / "wheels", "tinything", "VALUE = 7\n")
    lines = ["--no-index", f"--find-links {fake.folder / 'wheels'}"]
    lines.append(f"tinything==1.0 --hash=sha256:{digest}")
    (code / "requirements.txt").write_text("\n".join(lines))
    fake.deploy(template)
    built = deployed_code(fake)
    assert built != code and (built / "app.py").read_text() == (code / "app.py").read_text()
    assert (built / "tinything.py").read_text() == "VALUE = 7\n"
    (fake.folder / "wheels" / "tinything-1.0-py3-none-any.whl").unlink()
    (code / "app.py").write_text("changed = True\n")
    built_as = ["Building Hello (pip: requirements.txt) …"]
    assert [line for line in fake.said if line.startswith("Building")] == built_as
    fake.deploy(template)
    assert [line for line in fake.said if line.startswith("Building")] == built_as
    again = Path(fake.params("UpdateFunctionCode")[-1]["S3Key"])
    assert again != built and (again / "tinything.py").is_file()
    assert (again / "app.py").read_text() == "changed = True\n"


def test_requirements_that_cannot_be_had_stop_a_deployment(fake: FakeCloud, code: Path) -> None:
    wheel(fake.folder / "wheels", "tinything", "")
    lines = f"--no-index\n--find-links {fake.folder / 'wheels'}\n"
    for asked, said in (("no-such-package", "no-such-package"), ("tinything==1.0 --hash=sha256:"
                        + "0" * 64, "hash")):  # fmt: skip
        (code / "requirements.txt").write_text(lines + asked)
        with pytest.raises(TemplateError, match=rf"(?i)Hello.*cannot be built: .*{said}"):
            fake.deploy(FUNCTION)


def test_what_is_there_is_not_built(fake: FakeCloud, code: Path) -> None:
    """Satisfied by cloudlet's own environment, or built already."""
    (code / "requirements.txt").write_text("boto3>=1\n# no\n")
    fake.deploy(FUNCTION)
    assert deployed_code(fake) == code
    (code / "requirements.txt").write_text("not-to-be-found==1\n")
    (code / "not_to_be_found-1.dist-info").mkdir()
    fake.deploy(FUNCTION)
    assert not (fake.bench.config.data / "builds").exists()


def test_what_sam_build_has_built_is_used_as_it_is(fake: FakeCloud, code: Path) -> None:
    built = fake.folder / ".aws-sam" / "build" / "Hello"
    shutil.copytree(code, built)
    (built / "requirements.txt").write_text("not-to-be-found==1\n")
    template = FUNCTION.replace("CodeUri: hello", "CodeUri: .aws-sam/build/Hello")
    fake.deploy(template + "    Metadata: {BuildMethod: esbuild}\n")
    assert deployed_code(fake) == built


def test_layers_are_built_into_the_folder_of_their_runtime(fake: FakeCloud, code: Path) -> None:
    own = f"python{sys.version_info.major}.{sys.version_info.minor}"
    wheel(fake.folder / "wheels", "tinything", "VALUE = 7\n")
    lines = ["--no-index", f"--find-links {fake.folder / 'wheels'}", "tinything"]
    (code / "requirements.txt").write_text("\n".join(lines))
    fake.deploy(
        "Transform: AWS::Serverless-2016-10-31\nResources:\n  Shared:\n"
        "    Type: AWS::Serverless::LayerVersion\n    Properties: {ContentUri: hello}\n"
        f"    Metadata: {{BuildMethod: {own}}}\n"
    )
    layer = Path(fake.params("PublishLayerVersion")[-1]["Content"]["S3Key"])
    assert {"app.py", "tinything.py"} <= {path.name for path in (layer / "python").iterdir()}


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_makefiles_are_run_and_other_build_methods_refused(fake: FakeCloud, code: Path) -> None:
    (code / "Makefile").write_text("build-Hello:\n\tcp app.py $(ARTIFACTS_DIR)/made.py\n")
    template = FUNCTION + "    Metadata: {BuildMethod: makefile}\n"
    fake.deploy(template)
    assert [path.name for path in deployed_code(fake).iterdir()] == ["made.py"]
    assert "Building Hello (make) …" in fake.said
    with pytest.raises(TemplateError, match=r"BuildMethod go1\.x is not implemented"):
        fake.deploy(template.replace("makefile", "go1.x"))


BUNDLED = """
    Metadata:
      BuildMethod: esbuild
      BuildProperties:
        Minify: false
        Sourcemap: true
        External: ["@aws-sdk/*"]
        OutExtension: [.js=.mjs]
        MainFields: module,main
        EntryPoints: [main]
"""


def esbuild(folder: Path) -> None:
    """One that writes down what it is told."""
    program = folder / "node_modules" / ".bin" / "esbuild"
    program.parent.mkdir(parents=True)
    script = """#!/bin/sh
for each in "$@"; do case $each in --outdir=*) echo "$@" > ${each#--outdir=}/told;; esac; done
"""
    program.write_text(script)
    program.chmod(0o755)


def test_esbuild_is_run_as_the_template_says(fake: FakeCloud, code: Path) -> None:
    """The project's own; what the template leaves out is as in SAM."""
    esbuild(fake.folder)
    (code / "main.ts").write_text("export const handler = 1;")
    fake.deploy(FUNCTION + BUNDLED)
    told = (deployed_code(fake) / "told").read_text().split()
    shown = [each for each in told if not each.startswith("--outdir=")]
    assert shown == [
        "main.ts", "--bundle", "--platform=node", "--target=es2020", "--format=cjs", "--sourcemap",
        "--external:@aws-sdk/*", "--out-extension:.js=.mjs", "--main-fields=module,main",
    ]  # fmt: skip
    variables = fake.params("CreateFunction")[-1]["Environment"]["Variables"]
    assert variables["NODE_OPTIONS"] == "--enable-source-maps"
    with pytest.raises(TemplateError, match="the entry point gone does not exist"):
        fake.deploy(FUNCTION + BUNDLED.replace("[main]", "[gone]"))


def test_esbuild_comes_from_npm_once(
    fake: FakeCloud, code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the version that the project asks for; without npm that is said."""
    monkeypatch.setattr(npm, "command", lambda: ["/no/such/npm"])
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    (code / "main.ts").write_text("export const handler = 1;")
    (code / "package.json").write_text('{"devDependencies": {"esbuild": "^0.19.1"}}')
    (code / "node_modules").mkdir()
    with pytest.raises(TemplateError, match="hello cannot be built: there is no npm on the PATH"):
        fake.deploy(FUNCTION + BUNDLED)
    esbuild(npm.folder(fake.bench.config.data, ["esbuild@^0.19.1"]))
    fake.deploy(FUNCTION + BUNDLED)
    assert (deployed_code(fake) / "told").is_file()


def test_a_function_without_code_takes_the_templates_folder(fake: FakeCloud, code: Path) -> None:
    """As `sam build` has it."""
    fake.deploy(FUNCTION.replace(", CodeUri: hello", ""))
    assert deployed_code(fake) == fake.folder


def test_inline_code_is_zipped_with_cfnresponse(fake: FakeCloud) -> None:
    fake.deploy(INLINE)
    data = fake.params("CreateFunction")[0]["Code"]["ZipFile"]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["index.py", "cfnresponse.py"]
        compile(archive.read("cfnresponse.py"), "cfnresponse.py", "exec")


def test_a_change_deploys_again_and_mistakes_are_told(fake: FakeCloud, code: Path) -> None:
    path = fake.folder / "template.yaml"
    path.write_text(FUNCTION)

    async def scenario() -> None:
        stop = asyncio.Event()
        first = await fake.deploying(path)
        seen: list[str] = []
        task = asyncio.create_task(watch(first, lambda: fake.deploying(path), seen.append, stop))
        for text, expected in (("broken: [", "not deployed:"), (FUNCTION, "deployed:")):
            count = len(seen)
            path.write_text(text)
            while not any(line.startswith(expected) for line in seen[count:]):
                await asyncio.sleep(0.05)
                path.write_text(text)  # the watcher may not have been ready
        (code / "app.py").write_text("new = 1\n")
        while not any("Hello (update)" in line for line in seen):
            await asyncio.sleep(0.05)
        stop.set()
        await task

    asyncio.run(asyncio.wait_for(scenario(), 60))
