// Near miss `rows_of_keys_alone` of `tied_rows`: Keys are summed over rows that the queries lack.
// Left alone: layout
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.hyper.attention
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,31,4,10],f32>, %arg1: !torch.vtensor<[3,2,31,4,10],f32>, %arg2: !torch.vtensor<[3,2,31,4,10],f32>) -> !torch.vtensor<[3,2,31,4,10],f32> {
    %str = torch.constant.str "bihc,rbjhc->bhij"
    %0 = torch.prim.ListConstruct %arg0, %arg1 : (!torch.vtensor<[2,31,4,10],f32>, !torch.vtensor<[3,2,31,4,10],f32>) -> !torch.list<vtensor>
    %none = torch.constant.none
    %1 = torch.aten.einsum %str, %0, %none : !torch.str, !torch.list<vtensor>, !torch.none -> !torch.vtensor<[2,4,31,31],f32>
    %float5.000000e-01 = torch.constant.float 5.000000e-01
    %2 = torch.aten.mul.Scalar %1, %float5.000000e-01 : !torch.vtensor<[2,4,31,31],f32>, !torch.float -> !torch.vtensor<[2,4,31,31],f32>
    %int-1 = torch.constant.int -1
    %3 = torch.aten.softmax.int %2, %int-1, %none : !torch.vtensor<[2,4,31,31],f32>, !torch.int, !torch.none -> !torch.vtensor<[2,4,31,31],f32>
    %str_0 = torch.constant.str "bhij,rbjhc->rbihc"
    %4 = torch.prim.ListConstruct %3, %arg2 : (!torch.vtensor<[2,4,31,31],f32>, !torch.vtensor<[3,2,31,4,10],f32>) -> !torch.list<vtensor>
    %5 = torch.aten.einsum %str_0, %4, %none : !torch.str, !torch.list<vtensor>, !torch.none -> !torch.vtensor<[3,2,31,4,10],f32>
    return %5 : !torch.vtensor<[3,2,31,4,10],f32>
  }
}
