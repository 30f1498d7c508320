package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// The users of the cluster besides the service accounts. Each part is who it would be in a
// cluster made by kubeadm, because admission policies look at user names.
const (
	adminUser      = "kubernetes-admin"
	controllerUser = "system:kube-controller-manager"
	schedulerUser  = "system:kube-scheduler"
)

func nodeUser(node string) string { return "system:node:" + node }

// writeTokens makes a bearer token for every user and the file from which the API server reads them.
func (c *Cluster) writeTokens() error {
	groups := map[string]string{
		adminUser:                  "system:masters",
		controllerUser:             "",
		schedulerUser:              "",
		nodeUser(c.nodeNameToBe()): "system:nodes",
	}
	c.tokens = map[string]string{}
	var lines strings.Builder
	for user, group := range groups {
		c.tokens[user] = rand.Text()
		fmt.Fprintf(&lines, "%s,%s,%s,%q\n", c.tokens[user], user, user, group)
	}
	return os.WriteFile(c.tokenFile(), []byte(lines.String()), 0o600)
}

// nodeNameToBe is the node's name, also before and without one.
func (c *Cluster) nodeNameToBe() string { return c.Name + "-node" }

// writeServiceAccountKey makes the key that signs the tokens of service accounts.
func (c *Cluster) writeServiceAccountKey() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	return os.WriteFile(c.serviceAccountKey(), text, 0o600)
}

// writeKubeconfig writes the access of one user.
func (c *Cluster) writeKubeconfig(path, user string) error {
	config := clientcmdapi.NewConfig()
	config.Clusters[c.Name] = &clientcmdapi.Cluster{
		Server:               "https://" + c.address,
		CertificateAuthority: c.servingCertificate(),
	}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{Token: c.tokens[user]}
	config.Contexts[c.Name] = &clientcmdapi.Context{Cluster: c.Name, AuthInfo: user, Namespace: "default"}
	config.CurrentContext = c.Name
	return clientcmd.WriteToFile(*config, path)
}

func (c *Cluster) tokenFile() string         { return filepath.Join(c.dir, "tokens.csv") }
func (c *Cluster) serviceAccountKey() string { return filepath.Join(c.dir, "service-account.key") }

// servingCertificate is the API server's own, with the authority that signed it.
func (c *Cluster) servingCertificate() string {
	return filepath.Join(c.dir, "apiserver", "apiserver.crt")
}
