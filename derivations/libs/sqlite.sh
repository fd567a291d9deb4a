# In:  prepare.sh's, and $prepare, itself
# Out: $out  include/sqlite3.h, lib/libsqlite3.a

. "$prepare"

# The one big file, made by programs of the build machine.
make -f main.mk TOP=. BCC=clang-14 NAWK=awk sqlite3.c

# One thread, no libraries to load; temporary tables in memory, for the runtime has no folder for temporary files. WASI has
# no locks and no shared memory: a database is locked by a folder beside it, as SQLite's own builds for WASI do, and there is
# no write-ahead log. The names of the locks that fcntl would set are only there to let what would use them compile.
target='-DSQLITE_THREADSAFE=0 -DSQLITE_OMIT_LOAD_EXTENSION -DSQLITE_TEMP_STORE=2
    -DSQLITE_DEFAULT_UNIX_VFS="unix-dotfile" -DSQLITE_OMIT_WAL -DSQLITE_MAX_MMAP_SIZE=0
    -DF_RDLCK=0 -DF_WRLCK=1 -DF_UNLCK=2 -DF_GETLK=5 -DF_SETLK=6
    -DHAVE_FDATASYNC=1 -DHAVE_GMTIME_R=1 -DHAVE_LOCALTIME_R=1 -DHAVE_USLEEP=1 -DHAVE_UTIME=1
    -DUSE_PREAD=1'

# What Debian's own library offers and programs use through Python.
offered='-DSQLITE_ENABLE_COLUMN_METADATA -DSQLITE_ENABLE_DBSTAT_VTAB -DSQLITE_ENABLE_FTS3 -DSQLITE_ENABLE_FTS3_PARENTHESIS
    -DSQLITE_ENABLE_FTS5 -DSQLITE_ENABLE_MATH_FUNCTIONS -DSQLITE_ENABLE_RTREE -DSQLITE_MAX_VARIABLE_NUMBER=250000'
$CC $KILN_POSIX_CPPFLAGS $target $offered -c sqlite3.c

mkdir -p "$out/include" "$out/lib"
cp sqlite3.h "$out/include/"
$AR rcD "$out/lib/libsqlite3.a" sqlite3.o

finished sqlite3 '
#include <sqlite3.h>
int main(void) {
    sqlite3 *database;
    return sqlite3_open(":memory:", &database) + sqlite3_exec(database, "select 1", 0, 0, 0) + sqlite3_close(database);
}'
