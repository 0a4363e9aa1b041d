output "cluster" {
  description = "For `gcloud container clusters get-credentials --dns-endpoint`."
  value       = google_container_cluster.ml.name
}

output "network" {
  description = "What `privateNetwork` and `authorizedNetwork` of Crossplane's instances name."
  value       = google_compute_network.ml.id
}

output "artifact_root" {
  description = "What `--default-artifact-root` of MLflow and `storageUri` of a model begin with."
  value       = google_storage_bucket.models.url
}

output "mlflow_instance" {
  description = "What the Cloud SQL proxy beside MLflow connects to."
  value       = google_sql_database_instance.mlflow.connection_name
}

output "mlflow_service_account" {
  description = "Annotation `iam.gke.io/gcp-service-account` of the service account `mlflow/mlflow`."
  value       = google_service_account.mlflow.email
}

output "mlflow_database_user" {
  description = "User in MLflow's `--backend-store-uri`; it has no password."
  value       = google_sql_user.mlflow.name
}
