package admission_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/hullmark/hullmark/e2e/cluster"
	"github.com/hullmark/hullmark/internal/admission/install"
	"github.com/hullmark/hullmark/internal/app"
)

var resources = map[string]string{
	"Namespace": "namespaces", "ServiceAccount": "serviceaccounts", "ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings",
	"Role": "roles", "RoleBinding": "rolebindings", "Service": "services", "StatefulSet": "statefulsets", "PodDisruptionBudget": "poddisruptionbudgets",
}

// apply creates every object of a file.
func apply(t *testing.T, config *rest.Config, file string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	for dec := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(raw), 4096); ; {
		var o unstructured.Unstructured
		if err := dec.Decode(&o.Object); err == io.EOF {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		kind := o.GroupVersionKind()
		resource := client.Resource(schema.GroupVersionResource{Group: kind.Group, Version: kind.Version, Resource: resources[kind.Kind]})
		var into dynamic.ResourceInterface = resource
		if o.GetNamespace() != "" {
			into = resource.Namespace(o.GetNamespace())
		}
		if _, err := into.Create(t.Context(), &o, metav1.CreateOptions{FieldValidation: "Strict"}); err != nil {
			t.Errorf("%s %s: %v", kind.Kind, o.GetName(), err)
		}
	}
}

// The webhook runs here with the service account of the manifests, so that what they allow is what it needs.
func TestTheManifestsAllowWhatTheWebhookNeedsAndNoMore(t *testing.T) {
	t.Parallel()
	w := startWith(t, func(t *testing.T, c *cluster.Cluster, a *app.AdmissionConfig) {
		config, err := c.Config()
		if err != nil {
			t.Fatal(err)
		}
		apply(t, config, filepath.Join("..", "..", "deploy", "kubernetes", "admission.yaml"))
		a.Kubeconfig = impersonate(t, c.Kubeconfig, "system:serviceaccount:hullmark:hullmark-admission")
	})
	config := rest.CopyConfig(w.rest)
	config.Impersonate.UserName = "system:serviceaccount:hullmark:hullmark-admission"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(t.Context(), install.Name, metav1.DeleteOptions{}); err == nil {
		t.Error("it may remove its own configuration")
	}
	if _, err := client.CoreV1().Secrets("hullmark").Get(t.Context(), "hullmark-enrolment", metav1.GetOptions{}); err == nil {
		t.Error("it may read other secrets")
	}
	store := install.Secret{Client: client, Namespace: "hullmark", Name: install.Name}
	if err := store.Save(t.Context(), []byte("one"), ""); err != nil {
		t.Fatal(err)
	}
	_, version, err := store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Save(t.Context(), []byte("two"), version); err != nil {
		t.Fatal(err)
	}
	if err := store.Save(t.Context(), []byte("three"), version); err == nil {
		t.Error("a write that lost goes unnoticed")
	}
	if raw, _, err := store.Load(t.Context()); err != nil || string(raw) != "two" {
		t.Errorf("%s, %v", raw, err)
	}
}
