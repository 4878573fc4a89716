-- The command and the attaching; everything else is loaded when it is first wanted.
if vim.g.loaded_sidestep then
  return
end
vim.g.loaded_sidestep = true

if vim.fn.has("nvim-0.7.2") == 0 then
  vim.notify("Sidestep needs Neovim 0.7.2 or newer.", vim.log.levels.ERROR)
  return
end

vim.api.nvim_create_user_command("Sidestep", function(command)
  require("sidestep.command").run(command.fargs)
end, {
  nargs = "*",
  desc = "Run and follow Sidestep workflows",
  complete = function(lead, line)
    return require("sidestep.command").complete(lead, line)
  end,
})

local group = vim.api.nvim_create_augroup("sidestep", { clear = true })

vim.api.nvim_create_autocmd({ "BufReadPost", "BufNewFile" }, {
  group = group,
  pattern = "*/.sidestep/workflows/*.py",
  callback = function(event)
    require("sidestep").attach(event.buf)
  end,
})

-- A run's page is reached by its name too: after `:edit`, from a session file, by `:buffer`.
vim.api.nvim_create_autocmd("BufReadCmd", {
  group = group,
  pattern = "sidestep://run/*",
  callback = function(event)
    require("sidestep.run_buffer").read(event.buf)
  end,
})
