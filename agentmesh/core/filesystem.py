"""Which file system a folder is on, and whether that is on another machine. Pure."""

import re
from collections.abc import Iterator

_LINUX = re.compile(r"\S+ \S+ \S+ \S+ (?P<place>\S+) .*? - (?P<kind>\S+) ")
"""A line of mountinfo, proc_pid_mountinfo(5)."""
_OTHERS = re.compile(r".* on (?P<place>/.*?) (?:type )?\(?(?P<kind>[\w.]+)[,)]")
"""A line that mount(8) prints on macOS."""
_ESCAPED = re.compile(r"\\([0-7]{3})")
_NETWORK = re.compile(r"nfs\d?|cifs|smb\d?|smbfs|afs|afpfs|9p|ceph|lustre|webdav|fuse\.(sshfs|glusterfs|rclone)")


def kind_of(folder: str, mounts: str) -> str:
    r"""Return the kind of file system that an absolute path is on, by what the system says is mounted where.

    >>> kind_of("/home/me/.agents", "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 21 0:9 / /home rw shared:1 - nfs4 s:/h rw")
    'nfs4'
    >>> kind_of("/Users/me/.agents", "/dev/disk1 on / (apfs, local)\n//me@s/h on /Users/me (smbfs, nodev)")
    'smbfs'
    """
    within = [(len(place), order, kind) for order, (place, kind) in enumerate(_mounts(mounts)) if _is_in(folder, place)]
    return max(within)[2] if within else ""


def is_on_network(kind: str) -> bool:
    """Tell whether such a file system is on another machine, where locks and SQLite's shared memory can't be trusted.

    >>> is_on_network("nfs4"), is_on_network("ext4")
    (True, False)
    """
    return bool(_NETWORK.fullmatch(kind))


def _mounts(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        if found := _LINUX.match(line) or _OTHERS.match(line):
            yield _ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), found["place"]), found["kind"]


def _is_in(folder: str, place: str) -> bool:
    return place in {"/", folder} or folder.startswith(f"{place}/")
