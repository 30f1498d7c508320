package cluster

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"

	"k8s.io/client-go/rest"
)

// startControlPlane starts etcd and the API server, then the controllers.
func (c *Cluster) startControlPlane(ctx context.Context) error {
	if err := c.writeTokens(); err != nil {
		return err
	}
	if err := c.writeServiceAccountKey(); err != nil {
		return err
	}
	etcd, err := c.startEtcd(ctx)
	if err != nil {
		return err
	}
	if err := c.startAPIServer(ctx, etcd); err != nil {
		return err
	}
	if c.options.Controllers {
		return c.startControllers(ctx)
	}
	return nil
}

// startEtcd returns etcd's URL.
func (c *Cluster) startEtcd(ctx context.Context) (string, error) {
	ports, err := FreePorts(2)
	if err != nil {
		return "", err
	}
	client, peer := fmt.Sprintf("http://127.0.0.1:%d", ports[0]), fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	p, err := c.run("etcd",
		"--data-dir="+filepath.Join(c.dir, "etcd"),
		"--listen-client-urls="+client, "--advertise-client-urls="+client,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer,
		"--log-level=warn", "--logger=zap")
	if err != nil {
		return "", err
	}
	return client, p.await(ctx, "being healthy", func(ctx context.Context) error {
		return get(ctx, http.DefaultClient, client+"/health")
	})
}

func (c *Cluster) startAPIServer(ctx context.Context, etcd string) error {
	ports, err := FreePorts(1)
	if err != nil {
		return err
	}
	c.address = fmt.Sprintf("127.0.0.1:%d", ports[0])
	flags := []string{
		"--etcd-servers=" + etcd,
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", ports[0]),
		"--cert-dir=" + filepath.Dir(c.servingCertificate()),
		"--service-cluster-ip-range=10.96.0.0/16",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + c.serviceAccountKey(),
		"--service-account-signing-key-file=" + c.serviceAccountKey(),
		"--token-auth-file=" + c.tokenFile(),
		"--authorization-mode=Node,RBAC",
		"--allow-privileged=true",
		"--kubelet-preferred-address-types=InternalIP", // nothing resolves the node's name
		"--endpoint-reconciler-type=none",              // it refuses to publish a loopback address, and nothing here reads it
	}
	if !c.options.Controllers {
		flags = append(flags, "--disable-admission-plugins=ServiceAccount") // nothing would make the accounts
	}
	p, err := c.run("kube-apiserver", append(flags, c.options.APIServerFlags...)...)
	if err != nil {
		return err
	}
	return p.await(ctx, "being ready", func(ctx context.Context) error {
		if err := c.writeKubeconfig(c.Kubeconfig, adminUser); err != nil {
			return err
		}
		return c.get(ctx, "/readyz")
	})
}

func (c *Cluster) startControllers(ctx context.Context) error {
	ports, err := FreePorts(2)
	if err != nil {
		return err
	}
	parts := []struct {
		name, user string
		flags      []string
	}{
		{"kube-controller-manager", controllerUser, []string{
			"--use-service-account-credentials=true",
			"--service-account-private-key-file=" + c.serviceAccountKey(),
			"--root-ca-file=" + c.servingCertificate(),
			"--concurrent-deployment-syncs=1",
		}},
		{"kube-scheduler", schedulerUser, nil},
	}
	for i, part := range parts {
		kubeconfig := filepath.Join(c.dir, part.name+".kubeconfig")
		if err := c.writeKubeconfig(kubeconfig, part.user); err != nil {
			return err
		}
		p, err := c.run(part.name, append([]string{
			"--kubeconfig=" + kubeconfig,
			"--authentication-kubeconfig=" + kubeconfig,
			"--authorization-kubeconfig=" + kubeconfig,
			"--authentication-skip-lookup=true",
			"--leader-elect=false",
			"--bind-address=127.0.0.1",
			fmt.Sprintf("--secure-port=%d", ports[i]),
			"--cert-dir=" + filepath.Join(c.dir, part.name),
		}, part.flags...)...)
		if err != nil {
			return err
		}
		if i == 0 {
			// The API server refuses pods until their namespace has its account.
			err = p.await(ctx, "making the default service account", func(ctx context.Context) error {
				return c.get(ctx, "/api/v1/namespaces/default/serviceaccounts/default")
			})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// get asks the API server as the administrator; any answer but 200 is an error.
func (c *Cluster) get(ctx context.Context, path string) error {
	config, err := c.Config()
	if err != nil {
		return err
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	return get(ctx, client, config.Host+path)
}

func get(ctx context.Context, client *http.Client, url string) error {
	_, err := fetch(ctx, client, url)
	return err
}

// fetch returns the body of a 200; any other answer is an error.
func fetch(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s %s", url, resp.Status, strings.TrimSpace(string(body)))
	}
	return body, err
}
