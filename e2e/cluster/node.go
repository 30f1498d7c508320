package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	corev1 "k8s.io/api/core/v1"
)

// startNode adds the one node: a network, containerd with an image for pod sandboxes, and a kubelet.
func (c *Cluster) startNode(ctx context.Context) error {
	kept, err := keepSysctls()
	if err != nil {
		return err
	}
	c.atEnd(kept.release)
	network, err := claimNetwork(c.Name)
	if err != nil {
		return err
	}
	c.atEnd(network.release)
	c.Gateway = network.gateway()

	if err := c.startContainerd(ctx, network); err != nil {
		return err
	}
	if err := c.makeCgroups(); err != nil {
		return err
	}
	return c.startKubelet(ctx)
}

func (c *Cluster) startKubelet(ctx context.Context) error {
	ports, err := FreePorts(1)
	if err != nil {
		return err
	}
	config, err := yaml.Marshal(c.kubeletConfig(ports[0]))
	if err != nil {
		return err
	}
	configPath, kubeconfig := filepath.Join(c.dir, "kubelet.yaml"), filepath.Join(c.dir, "kubelet.kubeconfig")
	if err := os.WriteFile(configPath, config, 0o600); err != nil {
		return err
	}
	c.NodeName = c.nodeNameToBe()
	if err := c.writeKubeconfig(kubeconfig, nodeUser(c.NodeName)); err != nil {
		return err
	}
	c.atEnd(c.removeLogLinks)
	p, err := c.run("kubelet",
		"--config="+configPath,
		"--kubeconfig="+kubeconfig,
		"--hostname-override="+c.NodeName,
		"--node-ip="+c.Gateway,
		"--root-dir="+filepath.Join(c.dir, "kubelet"),
		"--cert-dir="+filepath.Join(c.dir, "kubelet-pki"))
	if err != nil {
		return err
	}
	return p.await(ctx, "the node being ready", c.nodeReady)
}

// kubeletConfig is a KubeletConfiguration. What deviates from the defaults lets several kubelets
// share one small machine with other work, where root may not have all capabilities.
func (c *Cluster) kubeletConfig(port int) map[string]any {
	return map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1",
		"kind":       "KubeletConfiguration",
		// Reachable from the API server and the pods only.
		"address":             c.Gateway,
		"port":                port,
		"healthzPort":         0,
		"authentication":      map[string]any{"anonymous": map[string]any{"enabled": true}, "webhook": map[string]any{"enabled": false}},
		"authorization":       map[string]any{"mode": "AlwaysAllow"},
		"podLogsDir":          filepath.Join(c.dir, "pods"),
		"volumePluginDir":     filepath.Join(c.dir, "volume-plugins"),
		"resolvConf":          "",
		"serializeImagePulls": false,
		"registryPullQPS":     0,

		"containerRuntimeEndpoint": "unix://" + c.ContainerdSocket,
		"cgroupDriver":             "cgroupfs",
		"cgroupRoot":               c.CgroupRoot,
		"failCgroupV1":             false,
		"failSwapOn":               false,
		// Lowering it needs CAP_SYS_RESOURCE.
		"oomScoreAdj":            0,
		"enforceNodeAllocatable": []string{},
		// A full disk of the machine must not fail a test about something else.
		"evictionHard":                map[string]string{},
		"imageGCHighThresholdPercent": 100,
		// No rules in the machine's packet filter: nothing here uses host ports or services.
		"makeIPTablesUtilChains": false,
	}
}

// removeLogLinks removes what the kubelet puts into a folder that it cannot be told to leave alone.
func (c *Cluster) removeLogLinks() error {
	links, err := filepath.Glob("/var/log/containers/*.log")
	for _, link := range links {
		if target, readErr := os.Readlink(link); readErr == nil && strings.HasPrefix(target, c.dir+"/") {
			err = errors.Join(err, os.Remove(link))
		}
	}
	return err
}

func (c *Cluster) nodeReady(ctx context.Context) error {
	config, err := c.Config()
	if err != nil {
		return err
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	body, err := fetch(ctx, client, config.Host+"/api/v1/nodes/"+c.NodeName)
	if err != nil {
		return err
	}
	var node corev1.Node
	if err := json.Unmarshal(body, &node); err != nil {
		return err
	}
	reason := "it says nothing yet"
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			if condition.Status == corev1.ConditionTrue {
				return nil
			}
			reason = condition.Message
		}
	}
	return fmt.Errorf("node %s is not ready: %s", c.NodeName, reason)
}
