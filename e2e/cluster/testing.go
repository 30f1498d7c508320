package cluster

import (
	"os"
	"testing"
)

// Start starts a cluster that ends with the test; when the test has failed the ends of its logs are printed, and
// the logs stay. Where the programs or root are missing the test skips, and under CI=true it fails.
func Start(t testing.TB, options Options) *Cluster {
	t.Helper()
	need(t, options)
	c, err := New(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, c) })
	return c
}

func need(t testing.TB, options Options) {
	t.Helper()
	give := t.Skipf
	if os.Getenv("CI") == "true" {
		give = t.Fatalf
	}
	if options.Node && os.Geteuid() != 0 {
		give("a Kubernetes node needs root")
	}
	if missing := Missing(options); len(missing) > 0 {
		give("not installed: %v; run scripts/tools cluster", missing)
	}
}

func stop(t testing.TB, c *Cluster) {
	t.Helper()
	if !t.Failed() {
		if err := c.Stop(); err != nil {
			t.Errorf("end the cluster: %v", err)
		}
		return
	}
	t.Logf("the cluster's logs end with:\n%s", c.LogTails())
	kept, err := c.StopButKeepLogs()
	t.Logf("the cluster's logs are in %s (%v)", kept, err)
}
