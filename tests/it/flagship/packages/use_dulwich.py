"""dulwich makes the objects that git makes, in a repository in memory."""

from dulwich.objects import Blob, Tree
from dulwich.repo import MemoryRepo


def faasm_main():
    blob = Blob.from_string(b"hello\n")
    assert blob.id == b"ce013625030ba8dba906f756967f9e9ca394464a", blob.id
    tree = Tree()
    tree.add(b"greeting", 0o100644, blob.id)
    repository = MemoryRepo()
    repository.object_store.add_objects([(blob, None), (tree, None)])
    commit = repository.do_commit(
        b"first", tree=tree.id, committer=b"A <a@example.org>", commit_timestamp=0, commit_timezone=0, author_timestamp=0, author_timezone=0
    )
    assert repository[commit].tree == tree.id
    assert [entry.commit.id for entry in repository.get_walker(include=[commit])] == [commit]
    print("dulwich: ok")
