//! A listing as a stream that can be looked ahead.

use std::sync::Arc;

use crate::{ListRequest, ListedObject, ObjectKey, ObjectStore, Result};

/// A listing, page by page or one by one.
pub(super) struct Pages {
    store: Arc<dyn ObjectStore>,
    request: Option<ListRequest>,
    page: std::vec::IntoIter<ListedObject>,
    /// Taken from the page, and not wanted yet.
    next: Option<ListedObject>,
}

impl Pages {
    pub(super) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, request: Some(ListRequest::default()), page: Vec::new().into_iter(), next: None }
    }

    pub(super) async fn next_page(&mut self) -> Result<Option<Vec<ListedObject>>> {
        let Some(request) = self.request.take() else { return Ok(None) };
        let page = self.store.list(request.clone()).await?;
        self.request = page.next.map(|next| ListRequest { continuation: Some(next), ..request });
        Ok(Some(page.objects))
    }

    async fn peek(&mut self) -> Result<Option<&ListedObject>> {
        while self.next.is_none() {
            self.next = self.page.next();
            if self.next.is_none() {
                match self.next_page().await? {
                    Some(page) => self.page = page.into_iter(),
                    None => return Ok(None),
                }
            }
        }
        Ok(self.next.as_ref())
    }

    pub(super) async fn next(&mut self) -> Result<Option<ListedObject>> {
        self.peek().await?;
        Ok(self.next.take())
    }

    pub(super) async fn next_before(&mut self, key: &ObjectKey) -> Result<Option<ListedObject>> {
        let before = self.peek().await?.is_some_and(|object| object.key < *key);
        Ok(if before { self.next.take() } else { None })
    }

    pub(super) async fn next_if(&mut self, key: &ObjectKey) -> Result<Option<ListedObject>> {
        let equal = self.peek().await?.is_some_and(|object| object.key == *key);
        Ok(if equal { self.next.take() } else { None })
    }
}
