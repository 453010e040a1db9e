"""Drives a sandbox from Python: python3 examples/rpc.py [PATH-OF-STOCKADE]"""
import json, subprocess, sys

program = sys.argv[1] if len(sys.argv) > 1 else "stockade"
rpc = subprocess.Popen([program, "rpc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
print("version", json.loads(rpc.stdout.readline())["hello"]["version"])

def call(number, method, **params):
    print(json.dumps({"id": number, "method": method, "params": params}), file=rpc.stdin, flush=True)
    for answer in map(json.loads, rpc.stdout):
        if "event" not in answer:
            return answer["result"] if "result" in answer else sys.exit(answer["error"]["message"])
        print(answer["event"], answer.get("text", "").rstrip())

box = call(1, "create", flags=["--workspace-mode", "none", "--ttl", "10m"])["sandbox"]
call(2, "write_file", sandbox=box, path="/tmp/hello.sh", text="echo hello from inside; exit 3\n")
ended = call(3, "exec", sandbox=box, argv=["sh", "/tmp/hello.sh"])
print("exit code", ended["code"])
call(4, "destroy", sandbox=box)
