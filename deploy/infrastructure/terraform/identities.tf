locals {
  labels = {
    system = "ml-production"
  }

  # Every pod of a namespace, or the pods of one of its service accounts, without a Google service account in between:
  # nothing has to be annotated, and a new model needs no change here.
  workload_pool    = "principalSet://iam.googleapis.com/projects/${data.google_project.ml.number}/locations/global/workloadIdentityPools/${var.project_id}.svc.id.goog"
  workload_subject = "principal://iam.googleapis.com/projects/${data.google_project.ml.number}/locations/global/workloadIdentityPools/${var.project_id}.svc.id.goog/subject"

  serving_pods = {
    production = "${local.workload_pool}/namespace/ml-production"
    staging    = "${local.workload_pool}/namespace/ml-staging"
  }
}

data "google_project" "ml" {
  project_id = var.project_id
}

# Nodes: logs, metrics and images, nothing else. Pods never get this identity (GKE_METADATA).
resource "google_service_account" "nodes" {
  account_id   = "ml-production-nodes"
  display_name = "Nodes of the cluster ml-production"
}

resource "google_project_iam_member" "nodes" {
  for_each = toset(["roles/container.defaultNodeServiceAccount", "roles/artifactregistry.reader"])

  project = var.project_id
  role    = each.value
  member  = google_service_account.nodes.member
}

# Serving reads models, and nothing but models.
resource "google_storage_bucket_iam_member" "serving" {
  for_each = local.serving_pods

  bucket = google_storage_bucket.models.name
  role   = "roles/storage.objectViewer"
  member = each.value

  # The first cluster of a project brings the pool that these principals are in; before, Google refuses their names.
  depends_on = [google_container_cluster.ml]
}

# `sluice push` adds objects and looks at what is there. A file over 8 MiB goes in parts: `multipartUploads.create`
# begins and ends it and adds each part, `abort` takes the parts away of a file that changed while it was read. Without
# `storage.objects.delete` Google Cloud refuses to overwrite as well, whole or in parts, so a published version cannot
# be changed by whoever published it. The mark of a push stays in the bucket then, and does no harm.
resource "google_project_iam_custom_role" "publisher" {
  role_id     = "modelPublisher"
  title       = "Model publisher"
  description = "Adds model versions; changes and removes none."
  permissions = [
    "storage.multipartUploads.abort",
    "storage.multipartUploads.create",
    "storage.objects.create",
    "storage.objects.get",
    "storage.objects.list",
  ]
}

resource "google_storage_bucket_iam_member" "publishers" {
  for_each = var.publishers

  bucket = google_storage_bucket.models.name
  role   = google_project_iam_custom_role.publisher.id
  member = each.value
}

# Cloud SQL knows users by the name of a service account, so MLflow has one.
resource "google_service_account" "mlflow" {
  account_id   = "mlflow"
  display_name = "MLflow tracking server"
}

resource "google_service_account_iam_member" "mlflow" {
  service_account_id = google_service_account.mlflow.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "${local.workload_subject}/ns/mlflow/sa/mlflow"

  depends_on = [google_container_cluster.ml]
}

resource "google_project_iam_member" "mlflow" {
  for_each = toset(["roles/cloudsql.client", "roles/cloudsql.instanceUser"])

  project = var.project_id
  role    = each.value
  member  = google_service_account.mlflow.member

  # Of the instances in the project, MLflow's own.
  condition {
    title      = "mlflow-only"
    expression = "resource.service == 'sqladmin.googleapis.com' && resource.name == 'projects/${var.project_id}/instances/${google_sql_database_instance.mlflow.name}'"
  }
}

# MLflow shows artifacts; clients upload them themselves.
resource "google_storage_bucket_iam_member" "mlflow" {
  bucket = google_storage_bucket.models.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.mlflow.member
}

# Crossplane makes the databases and caches of the teams, by its providers' service account.
resource "google_project_iam_member" "crossplane" {
  for_each = toset(["roles/cloudsql.admin", "roles/redis.admin", "roles/compute.networkViewer"])

  project = var.project_id
  role    = each.value
  member  = "${local.workload_subject}/ns/crossplane-system/sa/provider-gcp"

  depends_on = [google_container_cluster.ml]
}
