package cluster_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hullmark/hullmark/e2e/cluster"
)

// It runs beside the other tests' clusters, so it also shows that one cluster's end leaves them alone.
func TestNothingIsLeftOfAClusterThatRanPods(t *testing.T) {
	t.Parallel()
	var c *cluster.Cluster
	t.Run("run", func(t *testing.T) {
		c = cluster.Start(t, cluster.Options{Node: true})
		runHello(t, c)
		if traces(t, c) == "" {
			t.Fatal("no trace of a running cluster was found: the search is broken")
		}
	})
	if c == nil {
		return // run has said why; under CI it has failed
	}
	if left := traces(t, c); left != "" {
		t.Errorf("left behind:\n%s", left)
	}
}

func TestAClusterThatCannotStartLeavesItsLogsAlone(t *testing.T) {
	t.Parallel()
	if missing := cluster.Missing(cluster.Options{}); len(missing) > 0 {
		cluster.Start(t, cluster.Options{}) // skips
	}
	_, err := cluster.New(t.Context(), cluster.Options{APIServerFlags: []string{"--no-such-flag"}})
	if err == nil {
		t.Fatal("an API server with a flag that it does not know started")
	}
	_, kept, ok := strings.Cut(err.Error(), "the logs are in ")
	if !ok || !strings.Contains(err.Error(), "unknown flag: --no-such-flag") {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(filepath.Dir(kept)) })
	entries, err := os.ReadDir(filepath.Dir(kept))
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the logs remain %v, %v", entries, err)
	}
}

// traces returns every mount, process, cgroup, link and file on this machine that bears the cluster's name.
func traces(t *testing.T, c *cluster.Cluster) string {
	t.Helper()
	var found []string
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	links, err := exec.Command("ip", "-oneline", "-details", "link", "show", "type", "bridge").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts) + string(links)) {
		if strings.Contains(line, c.Name) {
			found = append(found, line)
		}
	}
	processes, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range processes {
		if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), c.Name) {
			found = append(found, file+": "+strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
	for _, pattern := range []string{"/sys/fs/cgroup/" + c.Name, "/sys/fs/cgroup/*/" + c.Name, filepath.Join(os.TempDir(), c.Name)} {
		paths, _ := filepath.Glob(pattern)
		found = append(found, paths...)
	}
	logs, _ := filepath.Glob("/var/log/containers/*")
	for _, link := range logs {
		if target, _ := os.Readlink(link); strings.Contains(target, c.Name) {
			found = append(found, link)
		}
	}
	return strings.Join(found, "\n")
}

// runHello imports an image of ours and runs a pod of it.
func runHello(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "hello.tar")
	image := cluster.Image{
		Reference:  "hullmark.test/hello:1",
		Entrypoint: []string{"/bin/busybox", "sh", "-c", "echo hello from $HOSTNAME; exec /bin/busybox sleep infinity"},
		Files:      map[string]string{"bin/busybox": "/bin/busybox"},
	}
	if err := image.Write(archive); err != nil {
		t.Fatal(err)
	}
	if err := c.Import(t.Context(), archive); err != nil {
		t.Fatal(err)
	}
	set := client(t, c)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "hello"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "only", Image: image.Reference}}},
	}
	if _, err := set.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	await(t, "the pod runs", func(ctx context.Context) error { return running(ctx, set, "hello") })
}
