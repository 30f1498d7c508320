package install

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/hullmark/hullmark/internal/admission/certs"
)

// secretKey is where in the secret the certificates lie.
const secretKey = "certificates.json"

// Secret is a store of certificates that all replicas share.
type Secret struct {
	Client    kubernetes.Interface
	Namespace string
	Name      string
}

// Load implements certs.Store.
func (s Secret) Load(ctx context.Context) ([]byte, string, error) {
	secret, err := s.Client.CoreV1().Secrets(s.Namespace).Get(ctx, s.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	return secret.Data[secretKey], secret.ResourceVersion, nil
}

// Save implements certs.Store.
func (s Secret) Save(ctx context.Context, raw []byte, version string) error {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: s.Name, Namespace: s.Namespace, ResourceVersion: version, Labels: labels()},
		Type:       corev1.SecretTypeOpaque, Data: map[string][]byte{secretKey: raw},
	}
	var err error
	if version == "" {
		_, err = s.Client.CoreV1().Secrets(s.Namespace).Create(ctx, secret, metav1.CreateOptions{})
	} else {
		_, err = s.Client.CoreV1().Secrets(s.Namespace).Update(ctx, secret, metav1.UpdateOptions{})
	}
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("secret %s: %w", s.Name, certs.ErrConflict)
	}
	return err
}

// Namespaces knows the labels of all namespaces from a watch.
type Namespaces struct {
	factory informers.SharedInformerFactory
	lister  listers.NamespaceLister
}

// NewNamespaces returns namespaces that are known once Run runs.
func NewNamespaces(client kubernetes.Interface) (*Namespaces, error) {
	factory := informers.NewSharedInformerFactory(client, 0)
	namespaces := factory.Core().V1().Namespaces()
	if err := namespaces.Informer().SetTransform(onlyLabels); err != nil {
		return nil, err
	}
	return &Namespaces{factory: factory, lister: namespaces.Lister()}, nil
}

// onlyLabels drops what is not needed before it is kept.
func onlyLabels(obj any) (any, error) {
	ns, ok := obj.(*corev1.Namespace)
	if !ok {
		return obj, nil
	}
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns.Name, Labels: ns.Labels, ResourceVersion: ns.ResourceVersion}}, nil
}

// Run watches until ctx ends.
func (n *Namespaces) Run(ctx context.Context) error {
	n.factory.StartWithContext(ctx)
	<-ctx.Done()
	n.factory.Shutdown()
	return nil
}

// Labels implements admission.Namespaces.
func (n *Namespaces) Labels(name string) (map[string]string, bool) {
	ns, err := n.lister.Get(name)
	if err != nil {
		return nil, false
	}
	return ns.Labels, true
}

// Synced waits until the namespaces are known, or ctx ends.
func (n *Namespaces) Synced(ctx context.Context) bool {
	return cache.WaitForCacheSync(ctx.Done(), n.factory.Core().V1().Namespaces().Informer().HasSynced)
}
