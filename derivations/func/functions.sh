# The users' functions, checked and laid out.
#
# In:  $functions    pyfuncs/USER/FUNCTION/function.py
#      $host_python  CPython for the build machine
# Out: $out          the same tree

"$host_python/bin/python3" -I - "$functions" <<'EOF'
import sys
from pathlib import Path

top = Path(sys.argv[1])
for path in sorted(path for path in top.rglob("*") if not path.is_dir()):
    name = path.relative_to(top)
    if len(name.parts) < 4 or name.parts[0] != "pyfuncs":
        sys.exit(f"{name} is not below pyfuncs/USER/FUNCTION")
    if path.suffix == ".py":
        compile(path.read_bytes(), f"/{name}", "exec")
for folder in sorted(top.glob("pyfuncs/*/*")):
    if not (folder / "function.py").is_file():
        sys.exit(f"{folder.relative_to(top)} has no function.py")
EOF

cp -R "$functions" "$out"
