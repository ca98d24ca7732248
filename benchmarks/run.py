import sys,importlib,time,tempfile
from pathlib import Path
from kit.bench import Bench
w=Path("/work/wt/bench/benchmarks/.work"); w.mkdir(exist_ok=True)
b=Bench(True,w)
for name in sys.argv[1:]:
    t=time.time()
    for f in importlib.import_module("rows."+name).run(b): print(f"{f.name:70} {f.figure:.2f} {f.spread} {f.verdict} {f.notes}", {k:[round(x,1) for x in v] for k,v in f.samples.items()})
    print(name,time.time()-t)
