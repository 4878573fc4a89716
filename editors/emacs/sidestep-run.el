;;; sidestep-run.el --- The buffer of one run  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; A buffer that follows a run: through servers that die, hosts that lag, and
;; interrupts.  It subscribes with the sequence of the last event it took, and
;; takes each event once and in order (sidestep-picture.el).

;;; Code:

(require 'cl-lib)
(require 'sidestep-draw)
(require 'sidestep-picture)
(require 'sidestep-server)

(declare-function sidestep-interrupt "sidestep-verbs")
(declare-function sidestep-continue "sidestep-verbs")
(declare-function sidestep-answer "sidestep-questions")

(defvar sidestep-run-event-functions nil
  "Called with the buffer of a run and an event that it has taken.
Each event of a run comes once and in order.")

(defvar-local sidestep-run-id nil "The run of this buffer.")
(defvar-local sidestep-run-picture nil "What its events added up to, a `sidestep-picture'.")
(defvar-local sidestep-run--connection nil "What is wrong with the connection, for people, or nil.")
(defvar-local sidestep-run--drawing nil "The timer that will draw this buffer, or nil.")
(defvar-local sidestep-run--asked nil
  "The subscription that is being asked for: events wait for its answer.")

(defvar sidestep-run-mode-map
  (let ((map (make-sparse-keymap)))
    (define-key map "i" #'sidestep-interrupt)
    (define-key map "r" #'sidestep-continue)
    (define-key map "a" #'sidestep-answer)
    (define-key map "g" #'sidestep-run-refresh)
    (define-key map (kbd "RET") #'sidestep-run-open-step)
    (define-key map "n" #'next-line)
    (define-key map "p" #'previous-line)
    map)
  "Keys of `sidestep-run-mode'.")

(define-derived-mode sidestep-run-mode special-mode "Run"
  "A run of a workflow, followed live.
\\{sidestep-run-mode-map}"
  (setq truncate-lines nil
        sidestep-run-picture (sidestep-picture-create))
  (buffer-disable-undo)
  (add-hook 'kill-buffer-hook #'sidestep-run--leave nil t))

(defun sidestep-run--leave ()
  "This buffer is killed: nothing more of its run has to be sent."
  (sidestep-send (sidestep-session sidestep-folder) :workflow/unsubscribe (list :runId sidestep-run-id) #'ignore))

(defun sidestep-run-buffer (run-id)
  "The buffer of the run RUN-ID, or nil."
  (cl-find run-id (buffer-list) :key (lambda (buffer) (buffer-local-value 'sidestep-run-id buffer)) :test #'equal))

(defun sidestep-run-buffers (session)
  "The buffers that show runs of SESSION."
  (cl-remove-if-not (lambda (buffer)
                      (and (buffer-local-value 'sidestep-run-id buffer)
                           (equal (buffer-local-value 'sidestep-folder buffer) (sidestep-session-root session))))
                    (buffer-list)))

(defun sidestep-run-open (session run-id &optional name)
  "Show the run RUN-ID of SESSION, whose script is NAME; the buffer."
  (let ((buffer (or (sidestep-run-buffer run-id)
                    (generate-new-buffer (format "*sidestep %s %s*" (or name "run") run-id)))))
    (with-current-buffer buffer
      (unless sidestep-run-id
        (sidestep-run-mode)
        (setq sidestep-run-id run-id
              sidestep-folder (sidestep-session-root session)
              default-directory sidestep-folder)
        (when name (setf (sidestep-picture-name sidestep-run-picture) name))
        (sidestep-run--draw)
        (sidestep-run--subscribe)))
    (pop-to-buffer buffer)
    buffer))

;;;; Following

(defmacro sidestep-run--in (buffer asked &rest body)
  "In BUFFER, when it lives and ASKED is its subscription, do BODY and draw."
  (declare (indent 2))
  `(when (buffer-live-p ,buffer)
     (with-current-buffer ,buffer
       (when (eq sidestep-run--asked ,asked)
         (setq sidestep-run--asked nil)
         ,@body
         (sidestep-run--draw-soon)))))

(defun sidestep-run--subscribe ()
  "Follow the run of this buffer from the last event it has."
  (let* ((buffer (current-buffer))
         (mine (list 'subscription)))
    (setq sidestep-run--asked mine)
    (sidestep-send
     (sidestep-session sidestep-folder) :workflow/subscribe
     (list :runId sidestep-run-id :afterSequence (sidestep-picture-sequence sidestep-run-picture))
     (lambda (answer)
       (sidestep-run--in buffer mine
         (setq sidestep-run--connection nil)
         (let ((run (plist-get answer :run)))
           (setf (sidestep-picture-name sidestep-run-picture) (plist-get run :name)
                 (sidestep-picture-label sidestep-run-picture) (plist-get run :label)))
         (sidestep-run--take (plist-get answer :events))))
     (lambda (refused)
       (sidestep-run--in buffer mine
         ;; A server that has died is connected to again.
         (unless (eq (plist-get refused :code) -1)
           (setq sidestep-run--connection (plist-get refused :message))))))))

(defun sidestep-run--take (events)
  "Take EVENTS, a vector, over; when some are missing before them, ask for these."
  (unless (cl-every (lambda (event)
                      (let ((taken (sidestep-picture-take sidestep-run-picture event)))
                        (when (eq taken t)
                          (run-hook-with-args 'sidestep-run-event-functions (current-buffer) event))
                        taken))
                    events)
    (sidestep-run--subscribe)))

(cl-defmethod eglot-handle-notification ((_server sidestep-server) (_method (eql 'workflow/eventsAppended))
                                         &key runId events &allow-other-keys)
  "EVENTS of the run RUNID were journaled."
  (let ((buffer (sidestep-run-buffer runId)))
    (when buffer
      (with-current-buffer buffer
        ;; Events of the subscription before; the answer that is awaited begins where they do.
        (unless sidestep-run--asked
          (sidestep-run--take events)
          (sidestep-run--draw-soon))))))

(cl-defmethod eglot-handle-notification ((_server sidestep-server) (_method (eql 'workflow/lagged))
                                         &key runId &allow-other-keys)
  "No more events of RUNID come until somebody asks."
  (let ((buffer (sidestep-run-buffer runId)))
    (when buffer
      (with-current-buffer buffer (sidestep-run--subscribe)))))

(cl-defmethod eglot-handle-notification ((_server sidestep-server) (_method (eql 'workflow/output))
                                         &key runId stepId text &allow-other-keys)
  "The step STEPID of RUNID printed TEXT."
  (let ((buffer (sidestep-run-buffer runId)))
    (when buffer
      (with-current-buffer buffer
        (sidestep-picture-print sidestep-run-picture stepId text)
        (sidestep-run--draw-soon)))))

(defun sidestep-run-deleted (run-id)
  "The run RUN-ID is no more."
  (let ((buffer (sidestep-run-buffer run-id)))
    (when buffer
      (with-current-buffer buffer
        (setq sidestep-run--connection "deleted: this run is no more")
        (sidestep-run--draw-soon)))))

(defun sidestep-run--connected (session)
  "Go on with what is shown of SESSION, on its new server."
  (dolist (buffer (sidestep-run-buffers session))
    (with-current-buffer buffer (sidestep-run--subscribe))))

(defun sidestep-run--disconnected (session why)
  "Say WHY nothing comes from SESSION any more."
  (dolist (buffer (sidestep-run-buffers session))
    (with-current-buffer buffer
      (setq sidestep-run--connection why
            sidestep-run--asked nil)
      (sidestep-run--draw-soon))))

(add-hook 'sidestep-connected-functions #'sidestep-run--connected)
(add-hook 'sidestep-disconnected-functions #'sidestep-run--disconnected)

(defun sidestep-run-refresh ()
  "Read the run of this buffer again, from its journal's beginning."
  (interactive nil sidestep-run-mode)
  (let ((session (sidestep-session sidestep-folder)))
    (sidestep-connect session)
    (setq sidestep-run-picture (sidestep-picture-create)
          sidestep-run--connection nil)
    (sidestep-run--subscribe)))

;;;; Drawing

(defun sidestep-run--draw-soon ()
  "Draw this buffer shortly, once for all that comes until then."
  (unless (timerp sidestep-run--drawing)
    (setq sidestep-run--drawing
          (run-with-timer 0.05 nil (lambda (buffer)
                                     (when (buffer-live-p buffer)
                                       (with-current-buffer buffer (sidestep-run--draw))))
                          (current-buffer)))))

(defun sidestep-run--draw ()
  "Write the picture into this buffer; point stays in its line."
  (when (timerp sidestep-run--drawing) (cancel-timer sidestep-run--drawing))
  (setq sidestep-run--drawing nil)
  (let ((inhibit-read-only t)
        (places (cons (cons nil (cons (line-number-at-pos) (current-column)))
                      (mapcar (lambda (window)
                                (with-selected-window window
                                  (cons window (cons (line-number-at-pos) (current-column)))))
                              (get-buffer-window-list nil nil t)))))
    (erase-buffer)
    (sidestep-draw sidestep-run-picture sidestep-run-id sidestep-run--connection)
    (pcase-dolist (`(,window . (,line . ,column)) places)
      (goto-char (point-min))
      (forward-line (1- line))
      (move-to-column column)
      (when window (set-window-point window (point))))))

;;;; One step

(defun sidestep-run-open-step ()
  "Show the output of the step at point, or the nested run that it is."
  (interactive nil sidestep-run-mode)
  (let* ((step (or (get-text-property (point) 'sidestep-step)
                   (user-error "There is no step in this line")))
         (session (sidestep-session sidestep-folder))
         (printed (gethash (sidestep-step-id step) (sidestep-picture-output sidestep-run-picture))))
    (cond ((sidestep-step-child step) (sidestep-run-open session (sidestep-step-child step)))
          (printed (sidestep-run--show-text step printed))
          (t (let* ((page (sidestep-request session :workflow/steps
                                            (list :runId sidestep-run-id :stepId (sidestep-step-id step) :outputs t)))
                    (found (cl-find (sidestep-step-key step) (plist-get page :steps)
                                    :key (lambda (each) (plist-get each :key)) :test #'equal)))
               (sidestep-run--show-text step (sidestep-draw-output found)))))))

(defun sidestep-run--show-text (step text)
  "Show TEXT as what STEP has put out."
  (let ((inhibit-read-only t)
        (buffer (get-buffer-create (format "*sidestep step %s*" (sidestep-step-id step)))))
    (with-current-buffer buffer
      (special-mode)
      (erase-buffer)
      (insert text)
      (goto-char (point-min)))
    (pop-to-buffer buffer)))

(provide 'sidestep-run)
;;; sidestep-run.el ends here
