package oidctest

import "net/url"

// GitHub is a release run of acme/ui, of the workflow release.yml on the main branch.
func GitHub() map[string]any {
	return map[string]any{
		"sub": "repo:acme/ui:ref:refs/heads/main", "repository": "acme/ui", "repository_id": "74", "repository_owner": "acme",
		"repository_owner_id": "65", "repository_visibility": "private", "workflow": "release",
		"workflow_ref":     "acme/ui/.github/workflows/release.yml@refs/heads/main",
		"workflow_sha":     "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567",
		"job_workflow_ref": "acme/ui/.github/workflows/release.yml@refs/heads/main",
		"job_workflow_sha": "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567",
		"ref":              "refs/heads/main", "ref_type": "branch", "ref_protected": "true", "sha": "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567",
		"event_name": "push", "run_id": "1520000001", "run_number": "10", "run_attempt": "1", "runner_environment": "github-hosted",
		"actor": "octocat", "actor_id": "12", "head_ref": "", "base_ref": "",
	}
}

// GitLab is a pipeline of acme/ui on the main branch of the GitLab whose issuer is given.
func GitLab(issuer string) map[string]any {
	host := "gitlab.com"
	if u, err := url.Parse(issuer); err == nil && u.Host != "" {
		host = u.Host
	}
	return map[string]any{
		"sub": "project_path:acme/ui:ref_type:branch:ref:main", "namespace_id": "72", "namespace_path": "acme", "project_id": "20",
		"project_path": "acme/ui", "project_visibility": "private", "user_id": "1", "user_login": "sample-user", "pipeline_id": "574",
		"pipeline_source": "push", "job_id": "302", "ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main", "ref_protected": "true",
		"runner_id": 1, "runner_environment": "gitlab-hosted", "sha": "714a629c0b401fdce83e847fc9589983fc6f46bc",
		"ci_config_ref_uri": host + "/acme/ui//.gitlab-ci.yml@refs/heads/main", "ci_config_sha": "714a629c0b401fdce83e847fc9589983fc6f46bc",
	}
}

// Buildkite is a build of the pipeline ui on the main branch. Its tokens have no jti.
func Buildkite() map[string]any {
	return map[string]any{
		"sub": "organization:acme:pipeline:ui:ref:refs/heads/main:commit:9f3182061f1e2cca4702c368cbc039b7dc9d4485:step:publish", "jti": nil,
		"organization_slug": "acme", "pipeline_slug": "ui", "build_number": 1, "build_branch": "main", "build_tag": nil,
		"build_commit": "9f3182061f1e2cca4702c368cbc039b7dc9d4485", "build_source": "webhook", "step_key": "publish",
		"job_id": "0184990a-477b-4fa8-9968-496074483cee", "agent_id": "0184990a-4782-42b5-afc1-16715b10b8ff", "runner_environment": "buildkite-hosted",
		"organization_id": "0184990a-477b-4fa8-9968-496074483aaa", "pipeline_id": "0184990a-477b-4fa8-9968-496074483bbb",
	}
}

// The organisation, project and so on of [CircleCI].
const (
	CircleOrganisation = "7f3a1c52-0d4e-4b1a-9c88-0f6a3c1d2e01"
	CircleProject      = "7f3a1c52-0d4e-4b1a-9c88-0f6a3c1d2e02"
	CirclePipeline     = "7f3a1c52-0d4e-4b1a-9c88-0f6a3c1d2e03"
	CircleContext      = "7f3a1c52-0d4e-4b1a-9c88-0f6a3c1d2e04"
)

// CircleCI is a job of the pipeline of acme/ui.
func CircleCI() map[string]any {
	const at = "oidc.circleci.com/"
	return map[string]any{
		"sub":         "org/" + CircleOrganisation + "/project/" + CircleProject + "/user/7f3a1c52-0d4e-4b1a-9c88-0f6a3c1d2e09",
		at + "org-id": CircleOrganisation, at + "project-id": CircleProject, at + "pipeline-definition-id": CirclePipeline,
		at + "context-ids": []string{CircleContext}, at + "vcs-origin": "github.com/acme/ui", at + "vcs-ref": "refs/heads/main",
		at + "ssh-rerun": false,
	}
}

// Google is a service account.
func Google() map[string]any {
	return map[string]any{
		"sub": "104961321313513121332", "azp": "104961321313513121332", "email": "release@acme.iam.gserviceaccount.com",
		"email_verified": true, "jti": nil,
	}
}

// Kubernetes is a pod with the service account release of the namespace build. Its audience is a list.
func Kubernetes(audience string) map[string]any {
	return map[string]any{
		"aud": []string{audience}, "sub": "system:serviceaccount:build:release",
		"kubernetes.io": map[string]any{
			"namespace":      "build",
			"node":           map[string]any{"name": "node-1", "uid": "646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1"},
			"pod":            map[string]any{"name": "release-x2k", "uid": "5e0bd49b-f040-43b0-99b7-22765a53f7f3"},
			"serviceaccount": map[string]any{"name": "release", "uid": "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798"},
		},
	}
}

// Generic is a run of a forge that nobody here knows.
func Generic() map[string]any {
	return map[string]any{"sub": "repository:acme/ui:branch:main", "owner": "acme", "project": "ui", "pipeline": "release", "branch": "main"}
}
