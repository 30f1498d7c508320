package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/hullmark/hullmark/e2e/cluster"
)

func TestAPodRunsOnARealCluster(t *testing.T) {
	t.Parallel()
	began := time.Now()
	c := cluster.Start(t, cluster.Options{Node: true})
	t.Logf("the node is ready after %s", time.Since(began))

	runHello(t, c)
	t.Logf("a pod runs after %s", time.Since(began))

	set := client(t, c)
	await(t, "its output can be read", func(ctx context.Context) error {
		out, err := set.CoreV1().Pods("default").GetLogs("hello", &corev1.PodLogOptions{}).DoRaw(ctx)
		if err == nil && string(out) != "hello from hello\n" {
			err = fmt.Errorf("the log is %q", out)
		}
		return err
	})
}

func running(ctx context.Context, set kubernetes.Interface, name string) error {
	pod, err := set.CoreV1().Pods("default").Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if pod.Status.Phase == corev1.PodRunning {
		return nil
	}
	events, err := set.CoreV1().Events("default").List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=" + name})
	if err != nil {
		return err
	}
	errs := []error{fmt.Errorf("pod %s is %s", name, pod.Status.Phase)}
	for _, e := range events.Items {
		errs = append(errs, fmt.Errorf("%s: %s", e.Reason, e.Message))
	}
	return errors.Join(errs...)
}

// await repeats what another process must make true.
func await(t *testing.T, what string, ask func(context.Context) error) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		err := ask(t.Context())
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not after a minute: %v", what, err)
		}
	}
}
