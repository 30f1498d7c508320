package container

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/hullmark/hullmark/internal/digest"
)

// CRI asks a runtime that speaks the Kubernetes container runtime interface (containerd, CRI-O) over its
// socket. It only reads.
type CRI struct {
	conn    *grpc.ClientConn
	runtime cri.RuntimeServiceClient
	images  cri.ImageServiceClient
	cluster string
}

// NewCRI returns a client of the runtime that listens at socket. Nothing is dialled before the first
// question; a runtime that is away is found out about there. Close ends it.
func NewCRI(socket, cluster string) (*CRI, error) {
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16<<20)))
	if err != nil {
		return nil, fmt.Errorf("container runtime at %s: %w", socket, err)
	}
	return &CRI{
		conn: conn, runtime: cri.NewRuntimeServiceClient(conn), images: cri.NewImageServiceClient(conn), cluster: cluster,
	}, nil
}

// Close ends the connection.
func (c *CRI) Close() error { return c.conn.Close() }

// Name implements Source.
func (*CRI) Name() string { return "cri" }

// Version asks the runtime what it is, for a check whether it answers.
func (c *CRI) Version(ctx context.Context) (string, error) {
	v, err := c.runtime.Version(ctx, &cri.VersionRequest{})
	if err != nil {
		return "", err
	}
	return v.RuntimeName + " " + v.RuntimeVersion, nil
}

// Find implements Source.
func (c *CRI) Find(ctx context.Context, ref Ref) (*Container, error) {
	if ref.ID == "" {
		return nil, ErrUnknown
	}
	st, err := c.runtime.ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: ref.ID, Verbose: true})
	if status.Code(err) == codes.NotFound {
		return c.sandbox(ctx, ref)
	}
	if err != nil {
		return nil, fmt.Errorf("container runtime: %w", err)
	}
	out := &Container{ID: ref.ID, Cgroup: ref.Cgroup, Name: st.Status.GetMetadata().GetName()}
	out.Reference = st.Status.GetImage().GetImage()
	c.pod(ctx, out, st)
	return out, c.image(ctx, out, st.Status)
}

// sandbox answers for the pod's own container (pause), whose image CRI does not name.
func (c *CRI) sandbox(ctx context.Context, ref Ref) (*Container, error) {
	st, err := c.runtime.PodSandboxStatus(ctx, &cri.PodSandboxStatusRequest{PodSandboxId: ref.ID})
	if status.Code(err) == codes.NotFound {
		return nil, ErrUnknown
	}
	if err != nil {
		return nil, fmt.Errorf("container runtime: %w", err)
	}
	out := &Container{ID: ref.ID, Cgroup: ref.Cgroup, Name: "sandbox", Pod: st.Status.GetMetadata().GetName()}
	out.Gaps = append(out.Gaps, "the image of a pod's own sandbox is not told by the runtime")
	out.Workload = owner(out.Pod, st.Status.GetLabels())
	out.Workload.Cluster, out.Workload.Namespace = c.cluster, st.Status.GetMetadata().GetNamespace()
	return out, nil
}

// verbose is what containerd adds about a container on request.
type verbose struct {
	SandboxID string `json:"sandboxID"`
}

// pod fills in the pod and what owns it, from the sandbox's labels where the runtime names the sandbox.
func (c *CRI) pod(ctx context.Context, out *Container, st *cri.ContainerStatusResponse) {
	labels := st.Status.GetLabels()
	out.Pod = labels["io.kubernetes.pod.name"]
	out.Workload.Cluster, out.Workload.Namespace = c.cluster, labels["io.kubernetes.pod.namespace"]
	out.Workload.Kind, out.Workload.Name = "Pod", out.Pod
	var v verbose
	if json.Unmarshal([]byte(st.Info["info"]), &v) != nil || v.SandboxID == "" {
		return
	}
	box, err := c.runtime.PodSandboxStatus(ctx, &cri.PodSandboxStatusRequest{PodSandboxId: v.SandboxID})
	if err != nil {
		out.Gaps = append(out.Gaps, "the pod's labels could not be read, so its owner is not known")
		return
	}
	o := owner(out.Pod, box.Status.GetLabels())
	out.Workload.Kind, out.Workload.Name = o.Kind, o.Name
}

// verboseImage is what containerd adds about an image on request.
type verboseImage struct {
	Spec struct {
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	} `json:"imageSpec"`
}

func (c *CRI) image(ctx context.Context, out *Container, st *cri.ContainerStatus) error {
	for _, name := range []string{st.GetImageId(), st.GetImageRef(), st.GetImage().GetImage()} {
		if name == "" {
			continue
		}
		r, err := c.images.ImageStatus(ctx, &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: name}, Verbose: true})
		if err != nil {
			return fmt.Errorf("container runtime: %w", err)
		}
		if r.GetImage() == nil {
			continue // removed, or not known by this name
		}
		out.Image = manifestOf(r.Image, st.GetImageRef())
		out.Reference = nameOf(out.Reference, r.Image)
		out.DiffIDs = diffIDs(r.Info["info"])
		if len(out.DiffIDs) == 0 {
			out.Gaps = append(out.Gaps, "the runtime does not tell the layers of the image")
		}
		return nil
	}
	out.Image = manifestOf(nil, st.GetImageRef())
	out.Gaps = append(out.Gaps, "the image of the container was removed from this node")
	return nil
}

// nameOf is what people call an image. Of one that was pulled by digest, as pods are that admission has
// pinned, the runtime tells the id of its configuration, which nobody knows by heart.
func nameOf(told string, image *cri.Image) string {
	if _, err := digest.Parse(told); told != "" && err != nil {
		return told
	}
	if names := append(image.GetRepoTags(), image.GetRepoDigests()...); len(names) > 0 {
		return names[0]
	}
	return told
}

func diffIDs(info string) []digest.Digest {
	var v verboseImage
	if json.Unmarshal([]byte(info), &v) != nil {
		return nil
	}
	var out []digest.Digest
	for _, s := range v.Spec.RootFS.DiffIDs {
		d, err := digest.Parse(s)
		if err != nil {
			return nil
		}
		out = append(out, d)
	}
	return out
}

// manifestOf prefers the digest that the container was started from, then any that the image was pulled
// by, then the configuration's.
func manifestOf(image *cri.Image, ref string) digest.Digest {
	for _, name := range append([]string{ref}, image.GetRepoDigests()...) {
		if _, d, ok := strings.Cut(name, "@"); ok {
			if parsed, err := digest.Parse(d); err == nil {
				return parsed
			}
		}
	}
	for _, name := range []string{image.GetId(), ref} {
		if parsed, err := digest.Parse(name); err == nil {
			return parsed
		}
	}
	return ""
}
