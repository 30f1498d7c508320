package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/hullmark/hullmark/internal/admission/admissiontest"
)

const registry = "registry.example.com"

func imageName(i int) string { return fmt.Sprintf("acme/app-%d:1", i) }

// review is the creation of a pod with an init container, two containers and the usual trimmings, as the
// mutating webhook leaves it.
func review(n, images int) []byte {
	image := func(i int) string {
		name := imageName(i % images)
		return registry + "/" + name + "@" + admissiontest.Digest(name)
	}
	container := func(name, image string) corev1.Container {
		return corev1.Container{
			Name: name, Image: image, Args: []string{"--port=8080", "--log=json"},
			Env:       []corev1.EnvVar{{Name: "REGION", Value: "eu-1"}, {Name: "DATABASE", Value: "postgres://db/app"}},
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("100m"), "memory": resource.MustParse("128Mi")}},
			VolumeMounts: []corev1.VolumeMount{
				{Name: "config", MountPath: "/etc/app"}, {Name: "kube-api-access", MountPath: "/var/run/secrets/kubernetes.io/serviceaccount", ReadOnly: true},
			},
		}
	}
	pod := corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("app-%d", n), Namespace: "shop", Labels: map[string]string{"app": "app", "pod-template-hash": "5d4f8c7b9"},
			Annotations: map[string]string{"admission.hullmark.dev/pinned": "init,app,proxy"},
		},
		Spec: corev1.PodSpec{
			InitContainers: []corev1.Container{container("init", image(n))},
			Containers:     []corev1.Container{container("app", image(n*7+1)), container("proxy", image(n*13+2))},
			Volumes: []corev1.Volume{
				{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "app"}}}},
				{Name: "kube-api-access", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			},
		},
	}
	raw, _ := json.Marshal(pod) // plain data
	out, _ := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: types.UID(fmt.Sprintf("uid-%d", n)), Kind: metav1.GroupVersionKind{Version: "v1", Kind: "Pod"},
			Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"}, Name: pod.Name, Namespace: pod.Namespace,
			Operation: admissionv1.Create, UserInfo: authenticationv1.UserInfo{Username: "system:serviceaccount:kube-system:replicaset-controller"},
			Object: runtime.RawExtension{Raw: raw},
		},
	})
	return out
}

// load sends reviews for one round and returns how long each answer took, and the processor time that the
// server spent on one in milliseconds: what a busy machine leaves steady.
func (w *world) load(ctx context.Context, server *exec.Cmd, url string, roots *x509.CertPool) (sample, float64, error) {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true, // as the API server does
	}}
	defer client.CloseIdleConnections()
	if err := w.warm(ctx, client, url); err != nil {
		return nil, 0, err
	}
	before := processorTime(server)
	total := int(w.duration.Seconds() * float64(w.rate))
	times, errs := make(sample, total), make([]error, total)
	var all sync.WaitGroup
	began := time.Now()
	for i := range total {
		due := began.Add(time.Duration(i) * time.Second / time.Duration(w.rate))
		time.Sleep(time.Until(due))
		if ctx.Err() != nil {
			return nil, 0, ctx.Err()
		}
		all.Go(func() {
			errs[i] = ask(ctx, client, url, w.reviews[i%len(w.reviews)])
			times[i] = time.Since(due)
		})
	}
	all.Wait()
	if err := firstOf(errs); err != nil {
		return nil, 0, err
	}
	slices.Sort(times)
	return times, (processorTime(server) - before) / float64(total), nil
}

// processorTime is what a process has used so far, in milliseconds.
func processorTime(cmd *exec.Cmd) float64 {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
	_, rest, _ := strings.Cut(string(raw), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(f[11], 64)
	system, _ := strconv.ParseFloat(f[12], 64)
	return (user + system) * 10 // ticks of 10 ms
}

// warm asks about every review once.
func (w *world) warm(ctx context.Context, client *http.Client, url string) error {
	for _, body := range w.reviews {
		if err := ask(ctx, client, url, body); err != nil {
			return err
		}
	}
	return nil
}

// ask sends one review. Anything but a permission is an error: it would count as a fast answer.
func ask(ctx context.Context, client *http.Client, url string, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK || !strings.Contains(string(raw), `"allowed":true`) {
		return fmt.Errorf("status %d: %.300s", res.StatusCode, raw)
	}
	return nil
}

func firstOf(errs []error) error {
	n := 0
	var first error
	for _, err := range errs {
		if err != nil {
			n++
			first = err
		}
	}
	if first == nil {
		return nil
	}
	return fmt.Errorf("%d of %d failed, one of them: %w", n, len(errs), first)
}
