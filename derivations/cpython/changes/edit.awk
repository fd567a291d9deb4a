# Edits files below the current directory. Each edit must fit at exactly one place, or nothing is done and the error says which did not.
#
# Usage: awk -f edit.awk EDITS
#
# A file of edits begins with why they are needed. Then, for each:
#
#      edit Objects/dictobject.c
#       a line that stays
#      -a line that goes
#      +a line that comes
#
# The lines that stay and go are looked for as they stand, together, wherever they are in the file; an empty line ends the edit. So an
# edit fits all versions of a file that have these lines, and unlike a patch it never goes where they only look alike.

function fail(message) {
    print FILENAME ":" start ": " message >"/dev/stderr"
    failed = 1
}

# The file's text, after one line feed, so that whole lines can be found.
function text_of(path,    line, text, status) {
    if (path in texts)
        return texts[path]
    text = "\n"
    while ((status = (getline line <path)) > 0)
        text = text line "\n"
    close(path)
    if (status < 0)
        fail("there is no file " path)
    return texts[path] = text
}

function places(text, part,    count, at) {
    while ((at = index(text, part)) > 0) {
        count++
        text = substr(text, at + length(part) - 1)
    }
    return count + 0
}

function finish(    text, count, at) {
    if (file == "")
        return
    if (old == "\n" || old "" == new "")
        fail("the edit of " file " changes nothing")
    text = text_of(file)
    count = places(text, old)
    if (count == 1) {
        at = index(text, old)
        texts[file] = substr(text, 1, at - 1) new substr(text, at + length(old))
    } else if (!failed || text != "\n") {
        fail("this edit of " file " fits at " count " places, and must at 1:\n" shown "These sources are of a version that it was not made for.")
    }
    file = ""
}

/^edit / {
    finish()
    file = substr($0, 6)
    start = FNR
    old = new = "\n"
    shown = ""
    next
}

file == "" { next }

/^[ +-]/ {
    shown = shown "    " $0 "\n"
    line = substr($0, 2) "\n"
    if (!/^[+]/)
        old = old line
    if (!/^-/)
        new = new line
    next
}

{
    if ($0 != "")
        fail("neither a line of the edit of " file " nor its end: " $0)
    finish()
}

END {
    finish()
    if (failed)
        exit 1
    for (path in texts) {
        printf "%s", substr(texts[path], 2) >path
        close(path)
    }
}
