# What begins with CPython's sources. Sourced, with these set:
#
#      $src      the sources
#      $changes  this folder
#      $patches  the changes of this version
#      $wasi_patches, $own_patches  further ones, for WASI alone, and for this version alone, if there are any
#
# Leaves a changed copy of the sources in the current directory, which is /build/python. A change is, by its name:
#
#      *.patch   for patch
#      *.edits   for edit.awk, for sources of which several versions are built

export PYTHONHASHSEED=0
cp -R "$src" /build/python
chmod -R u+w /build/python
cd /build/python
for change in "$patches"/* ${wasi_patches:+"$wasi_patches"/*} ${own_patches:+"$own_patches"/*}; do
    case $change in
    *.patch) patch -p1 <"$change" ;;
    *.edits) LC_ALL=C awk -f "$changes/edit.awk" "$change" ;;
    *) echo "$change is neither a patch nor a file of edits" >&2; exit 1 ;;
    esac
done
