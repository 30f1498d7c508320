package e2e

import (
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
)

// startSecond starts another server, which the transcript's own may have as its upstream. It sets URL2, NPM2,
// OCI2 and TOKEN2.
//
//	second-hullmark [FLAG...]
func startSecond(ts *testscript.TestScript, neg bool, args []string) {
	first := devOf(ts, neg)
	d := &dev{env: first.env, data: filepath.Join(first.env.WorkDir, "second")}
	line, err := d.start(args)
	ts.Check(err)
	ts.Defer(func() { d.end(ts) })
	ts.Setenv("URL2", line.URL)
	ts.Setenv("NPM2", line.NPM)
	ts.Setenv("OCI2", line.OCI)
	ts.Setenv("TOKEN2", line.Token)
	ts.Value(upstreamKey{}).(*upstreams).second = d
}

// killSecond ends the other server.
//
//	second-kill
func killSecond(ts *testscript.TestScript, neg bool, args []string) {
	if d := ts.Value(upstreamKey{}).(*upstreams).second; d != nil {
		d.end(ts)
	}
}
