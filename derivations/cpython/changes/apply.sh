# Applies changes to the sources in the current directory. Sourced; `apply TOOLS FOLDER...` takes what lies in each folder, by name:
#
#      *.patch   by patch
#      *.edits   by edit.awk, for sources of which several versions are built

apply() {
    tools=$1
    shift
    for folder; do
        for change in "$folder"/*; do
            case $change in
            *.patch) patch -p1 <"$change" ;;
            *.edits) LC_ALL=C awk -f "$tools/edit.awk" "$change" ;;
            *) echo "$change is neither a patch nor a file of edits" >&2; exit 1 ;;
            esac
        done
    done
}
