package cluster_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/hullmark/hullmark/e2e/cluster"
)

func TestAControlPlaneTakesObjectsWithinSeconds(t *testing.T) {
	t.Parallel()
	began := time.Now()
	c := cluster.Start(t, cluster.Options{})
	t.Logf("ready after %s", time.Since(began))

	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "first"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "only", Image: "registry.example/app:1"}}},
	}
	pods := client(t, c).CoreV1().Pods("default")
	if _, err := pods.Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	got, err := pods.Get(t.Context(), "first", metav1.GetOptions{})
	if err != nil || got.Spec.Containers[0].Image != "registry.example/app:1" {
		t.Fatalf("%+v, %v", got.Spec, err)
	}
}

func client(t *testing.T, c *cluster.Cluster) *kubernetes.Clientset {
	t.Helper()
	config, err := c.Config()
	if err != nil {
		t.Fatal(err)
	}
	set, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return set
}
